"""Accuracy and other metrics of each model version, with the delay and the coverage of its labels."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MOST_VERSIONS, _MOST_WINDOWS, _NEWEST = 20, 300, 10


@dataclass(frozen=True, slots=True)
class MeasuredWindow:
    """One metric in one window: its time (Unix ms), value, and number of labels (predictions, without)."""

    time_ms: int
    value: float
    weight: int


@dataclass(slots=True)
class MetricRecord:
    """One metric of one version, window by window; `label_delay_ms` and `coverage` are the newest."""

    windows: deque[MeasuredWindow] = field(default_factory=lambda: deque(maxlen=_MOST_WINDOWS))
    labels: int = 0
    weighted: float = 0.0
    weight: int = 0
    reference: float | None = None
    label_delay_ms: int | None = None
    coverage: float | None = None

    def by_time(self) -> list[MeasuredWindow]:
        """Return the windows by time: those of several partitions come in the order of their closing."""
        return sorted(self.windows, key=lambda one: one.time_ms)

    def newest(self) -> float:
        """Return the weighted mean of the newest windows."""
        return _mean(self.by_time()[-_NEWEST:])

    def overall(self) -> float:
        """Return the weighted mean of all windows that were read."""
        return self.weighted / self.weight if self.weight else 0.0


class VersionMetrics:
    """The metrics of the versions that were measured last."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, dict[str, MetricRecord]] = OrderedDict()

    def take(self, event: Mapping[str, Any]) -> None:
        """Take a monitoring event; one without a metric is left out."""
        measured = event["performance"]
        if measured is None:
            return
        version = event["model_version"] or ""
        metrics = self._found.setdefault(version, {})
        self._found.move_to_end(version)
        if len(self._found) > MOST_VERSIONS:
            self._found.popitem(last=False)
        record = metrics.setdefault(measured["metric"], MetricRecord())
        weight = measured["labelled"] or measured["predictions"]
        record.windows.append(MeasuredWindow(event["time"], measured["value"], weight))
        record.labels += measured["labelled"]
        record.weighted += measured["value"] * weight
        record.weight += weight
        record.reference = measured["reference_value"]
        record.label_delay_ms = measured["label_delay_p50_ms"]
        record.coverage = _share(event["attributes"].get("coverage"))

    def by_version(self) -> Sequence[tuple[str, Mapping[str, MetricRecord]]]:
        """Return version and metrics, the version that was measured last first."""
        return list(reversed(self._found.items()))


def _mean(windows: Sequence[MeasuredWindow]) -> float:
    weight = sum(one.weight for one in windows)
    return sum(one.value * one.weight for one in windows) / weight if weight else 0.0


def _share(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
