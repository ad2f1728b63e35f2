"""Metrics of a model held against limits of the user, and the accuracy to expect against that at first.

A limit is exceeded where the newest labels say so by more than chance: three standard errors, of a share
those of a binomial, of an error those of the windows' values. An incident ends where they are within the
limit again.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_infer.drift.estimate import ModelId

ESTIMATE = "estimated_accuracy"
ACCURACY_LIMIT = "accuracy"
SHARES = frozenset({"accuracy", "recall", "precision", "f1", ESTIMATE})
"""Metrics of which more is better; of others less."""
_ENOUGH, _LEAST, _LONGEST = 200, 30, 20
_LEAST_WINDOWS = 5
_SIGMAS = 3.0
_FIRST = 5
_NOTABLE = 0.1
"""An estimate is told where it is so much less than that of the first windows."""


@dataclass(frozen=True, slots=True)
class LimitCrossed:
    """A metric that is beyond its limit, or within it again (`ended`), on so many labels or predictions.

    `first` is what the estimate was at first, where the limit follows from that. `log` is the partition of
    the window that showed it, from `first_offset` to `last_offset`.
    """

    incident: str
    model: ModelId
    metric: str
    value: float
    limit: float
    count: int
    first: float | None
    log: str
    first_offset: int
    last_offset: int
    time_ms: int
    ended: bool


@dataclass(frozen=True, slots=True)
class MetricPlace:
    """Where and when a value of a metric was measured."""

    log: str
    first_offset: int
    last_offset: int
    time_ms: int


@dataclass(slots=True)
class _Measured:
    recent: list[tuple[float, int]] = field(default_factory=list)
    incident: str | None = None
    first: list[float] = field(default_factory=list)


class LimitedMetrics:
    """The limited metrics of one model. State is small: the newest few values of each."""

    def __init__(
        self, limits: Mapping[str, float], model: ModelId, document: Mapping[str, Any] | None = None
    ) -> None:
        self._limits = limits
        self._model = model
        self._metrics = {
            name: _Measured([(value, count) for value, count in recent], incident, first)
            for name, (recent, incident, first) in (document or {}).items()
        }

    def take(self, metric: str, value: float, count: int, window: MetricPlace) -> Iterator[LimitCrossed]:
        """Take the value of a metric in a window of `count` labels; yield an incident that begins or ends."""
        if (metric != ESTIMATE and metric not in self._limits) or not count or not math.isfinite(value):
            return
        known = self._metrics.setdefault(metric, _Measured())
        limit = self._limit(metric, known, value)
        if limit is None:
            return
        known.recent = [*known.recent[-_LONGEST + 1 :], (value, count)]
        mean, total, error = _newest(metric, known.recent, limit)
        sign = -1.0 if metric in SHARES else 1.0
        beyond = sign * (mean - limit)
        if known.incident is None and error is not None and beyond > _SIGMAS * error:
            place = f"{self._model.digest}\n{metric}\n{window.log}\n{window.first_offset}"
            known.incident = hashlib.sha256(place.encode()).hexdigest()[:16]
            known.recent = []
            yield self._crossed(metric, known.incident, (mean, limit, total), window, ended=False)
        elif known.incident is not None and beyond <= 0 and _is_enough(known.recent, total):
            yield self._crossed(metric, known.incident, (mean, limit, total), window, ended=True)
            known.incident, known.recent = None, []

    def accept(self, incident_id: str) -> bool:
        """End an incident of the estimate, and learn what it is now; return whether it is open here."""
        known = self._metrics.get(ESTIMATE)
        if known is None or known.incident != incident_id:
            return False
        self._metrics[ESTIMATE] = _Measured()
        return True

    def to_document(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {name: [one.recent, one.incident, one.first] for name, one in self._metrics.items()}

    def _limit(self, metric: str, known: _Measured, value: float) -> float | None:
        """Return the limit of a metric. Without one, that of the estimate follows from its first windows."""
        if metric != ESTIMATE:
            return self._limits[metric]
        if ACCURACY_LIMIT in self._limits:
            return self._limits[ACCURACY_LIMIT]
        if len(known.first) < _FIRST:
            known.first.append(value)
            return None
        return statistics.fmean(known.first) - _NOTABLE

    def _crossed(
        self,
        metric: str,
        incident: str,
        found: tuple[float, float, int],
        window: MetricPlace,
        *,
        ended: bool,
    ) -> LimitCrossed:
        value, limit, count = found
        learned = metric == ESTIMATE and ACCURACY_LIMIT not in self._limits
        return LimitCrossed(
            incident,
            self._model,
            metric,
            value,
            limit,
            count,
            limit + _NOTABLE if learned else None,
            window.log,
            window.first_offset,
            window.last_offset,
            window.time_ms,
            ended,
        )


def _is_enough(recent: Sequence[tuple[float, int]], total: int) -> bool:
    return total >= _ENOUGH or len(recent) >= _LONGEST


def _newest(
    metric: str, recent: Sequence[tuple[float, int]], limit: float
) -> tuple[float, int, float | None]:
    """Return mean and count of the newest windows with enough labels, and the standard error if known."""
    share = metric in SHARES
    values: list[tuple[float, int]] = []
    for one in reversed(recent):
        values.append(one)
        if sum(count for _, count in values) >= _ENOUGH and (share or len(values) >= _LEAST_WINDOWS):
            break
    total = sum(count for _, count in values)
    mean = math.fsum(value * count for value, count in values) / total
    if share:
        return mean, total, math.sqrt(limit * (1 - limit) / total) if total >= _LEAST else None
    if len(values) < _LEAST_WINDOWS:
        return mean, total, None
    return mean, total, statistics.stdev(value for value, _ in values) / math.sqrt(len(values))
