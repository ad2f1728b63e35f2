"""What the first events of a pipeline teach: the baseline of columns that have no reference.

It is learned over all partitions, so that a pipeline of many needs no more events than one of few. A new
model inherits the features' baseline of the model before; its outputs are its own. A column that loses its
values while the baseline is learned is left out from there on: its baseline is what was before.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from stream_infer.drift.frame_documents import frame_from_document, frame_to_document
from stream_infer.drift.frames import ColumnSummary, ObservationFrame, merge_frames
from stream_infer.drift.rates import is_far_above

_MEAN_MARGIN = 1.25
_SPREAD_MARGIN = 1.5
_ASSUMED_WINDOWS = 4
"""Few windows make uncertain factors: these raise them, and count so many windows as independent values."""
_LEARNED_RECORDS = 4_000

ColumnKey = tuple[str, str]
"""Kind and name."""


class MissingValues(NamedTuple):
    """The nulls and the non-finite values among `rows` records."""

    nulls: int
    non_finite: int
    rows: int


@dataclass(frozen=True, slots=True)
class LearnedBaseline:
    """The first windows merged, and how much they differ beyond chance.

    `inflation` is by (kind, name): factors on the standard errors of the mean and of the log variance that
    independent normal values would have. Heavy tails make them large. `records` has the number of records of
    columns for which it is another than that of `frame`.
    """

    frame: ObservationFrame
    inflation: Mapping[ColumnKey, tuple[float, float]]
    records: Mapping[ColumnKey, int] = field(default_factory=dict)

    @property
    def columns(self) -> Mapping[ColumnKey, ColumnSummary]:
        """The summaries of the first windows by kind and name."""
        return {_key(summary): summary for summary in self.frame.signals}

    def rows(self, summary: ColumnSummary) -> int:
        """Return the number of records behind the column of `summary`."""
        return self.records.get(_key(summary), self.frame.records)

    def missing(self, summary: ColumnSummary) -> MissingValues | None:
        """Return the missing values of the column of `summary`; None where it was not learned."""
        first = self.columns.get(_key(summary))
        return None if first is None else MissingValues(first.nulls, first.non_finite, self.rows(first))

    def of_features(self) -> LearnedBaseline:
        """Return the part that does not depend on the model."""
        features = tuple(one for one in self.frame.signals if one.kind.startswith("feature"))
        records = {_key(one): self.rows(one) for one in features}
        inflation = {key: factors for key, factors in self.inflation.items() if key in records}
        return LearnedBaseline(replace(self.frame, signals=features), inflation, records)

    def with_others(self, other: LearnedBaseline) -> LearnedBaseline:
        """Return these columns, and those of `other` that are not among them; all else is of `other`."""
        mine = self.columns
        new = [one for one in other.frame.signals if _key(one) not in mine]
        records = {_key(one): self.rows(one) for one in mine.values()} | {
            _key(one): other.rows(one) for one in new
        }
        frame = replace(other.frame, signals=(*mine.values(), *new))
        return LearnedBaseline(frame, {**other.inflation, **self.inflation}, records)


class BaselineLearner:
    """Collects the first windows of a pipeline, then keeps the baseline that they make."""

    def __init__(self, inherited: LearnedBaseline | None = None) -> None:
        self._inherited = inherited
        self._first: list[ObservationFrame] = []
        self._learned: LearnedBaseline | None = None
        self.pending: ObservationFrame | None = None
        """The window that is open: of a stream of few events it is all that is known for long."""

    @property
    def learned(self) -> LearnedBaseline | None:
        """The baseline; while first windows are still collected, that of the model before, or None."""
        return self._learned or self._inherited

    @property
    def so_far(self) -> LearnedBaseline | None:
        """What is known, and of columns without a baseline the windows collected so far."""
        collected = [*self._first, *([] if self.pending is None else [self.pending])]
        if self._learned is not None or not collected:
            return self.learned
        first = _merged(collected)
        return first if self._inherited is None else self._inherited.with_others(first)

    def add(self, window: ObservationFrame) -> bool:
        """Take the next window; return False once the baseline is complete: then it is ignored."""
        if self._learned is not None:
            return False
        before = self.so_far
        kept = [one for one in window.signals if before is None or not _is_lost(one, window.records, before)]
        self._first.append(replace(window, signals=tuple(kept)))
        if sum(one.records for one in self._first) >= _LEARNED_RECORDS:
            own, self._first = learn_baseline(self._first), []
            self._learned = own if self._inherited is None else self._inherited.with_others(own)
        return True

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {
            "first": [frame_to_document(window) for window in self._first],
            "learned": baseline_to_document(self._learned),
            "inherited": baseline_to_document(self._inherited),
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take over the state that `to_document` wrote."""
        self._first = [frame_from_document(window) for window in document["first"]]
        self._learned = baseline_from_document(document["learned"])
        self._inherited = baseline_from_document(document["inherited"])


def learn_baseline(windows: Sequence[ObservationFrame]) -> LearnedBaseline:
    """Return the baseline that the first windows of a pipeline make."""
    whole = _merged(windows)
    inflation = {}
    for summary in whole.frame.signals:
        parts = [
            one for window in windows for one in window.signals
            if _key(one) == _key(summary) and one.variance > 0
        ]  # fmt: skip
        if len(parts) > 1 and summary.variance > 0:
            means = [one.mean / math.sqrt(summary.variance / one.count) for one in parts]
            spreads = [math.log(one.variance) / math.sqrt(2 / (one.count - 1)) for one in parts]
            factors = _MEAN_MARGIN * _excess(means), _SPREAD_MARGIN * _excess(spreads)
            inflation[_key(summary)] = factors
    return LearnedBaseline(whole.frame, inflation, whole.records)


def tail_factor(summary: ColumnSummary) -> float:
    """Return how much more a log variance varies than that of normal values; 1.0 for light tails.

    Its variance is (kurtosis - 1) / count. The most distant value alone says what the kurtosis is at least;
    of a heavy tail it is about half of it. `summary` has a variance.
    """
    distance = max(summary.high - summary.mean, summary.mean - summary.low)
    kurtosis = max(3.0, 1 + 2 * (distance / math.sqrt(summary.variance)) ** 4 / summary.count)
    return math.sqrt((kurtosis - 1) / 2)


def baseline_to_document(baseline: LearnedBaseline | None) -> dict[str, object] | None:
    """Return a baseline as JSON values."""
    if baseline is None:
        return None
    beyond = [[*key, *factors] for key, factors in baseline.inflation.items()]
    rows = [[*key, records] for key, records in baseline.records.items()]
    return {"frame": frame_to_document(baseline.frame), "beyond": beyond, "rows": rows}


def baseline_from_document(document: Mapping[str, Any] | None) -> LearnedBaseline | None:
    """Return the baseline that `baseline_to_document` wrote."""
    if document is None:
        return None
    inflation = {(kind, name): (mean, spread) for kind, name, mean, spread in document["beyond"]}
    records = {(kind, name): rows for kind, name, rows in document.get("rows", ())}
    return LearnedBaseline(frame_from_document(document["frame"]), inflation, records)


def _merged(windows: Sequence[ObservationFrame]) -> LearnedBaseline:
    """Return windows as one, without factors."""
    merged = windows[0]
    for window in windows[1:]:
        merged = merge_frames(merged, window)
    records: dict[ColumnKey, int] = {}
    for window in windows:
        for one in window.signals:
            records[_key(one)] = records.get(_key(one), 0) + window.records
    return LearnedBaseline(merged, {}, {key: rows for key, rows in records.items() if rows != merged.records})


def _is_lost(summary: ColumnSummary, records: int, before: LearnedBaseline) -> bool:
    """Whether a feature misses many values that it had before."""
    known = before.missing(summary)
    return (
        known is not None
        and summary.kind.startswith("feature")
        and (
            is_far_above((summary.nulls, records), (known.nulls, known.rows))
            or is_far_above((summary.non_finite, records), (known.non_finite, known.rows))
        )
    )


def _excess(values: Sequence[float]) -> float:
    """Return how far standardised values differ from each other, in standard deviations; at least 1."""
    freedom = len(values) - 1
    squares = _ASSUMED_WINDOWS + freedom * statistics.variance(values)
    return max(1.0, math.sqrt(squares / (_ASSUMED_WINDOWS + freedom)))


def _key(summary: ColumnSummary) -> ColumnKey:
    return summary.kind, summary.name
