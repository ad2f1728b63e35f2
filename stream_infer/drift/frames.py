"""Summaries of scored records by partition, model and window of offsets. Frames of one window merge.

Values and their merging only. `steps.observing.observe` makes frames from a batch,
`steps.observing.frame_record` writes them as records, `frame_documents` as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import overload

import numpy as np
from numpy.typing import NDArray

from stream_infer.flow.records import Partition

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FEATURE_NUMBER = "feature.number"
FEATURE_CATEGORY = "feature.category"
OUTPUT_NUMBER = "output.number"
OUTPUT_CATEGORY = "output.category"

_LEAST_VARIANCE = 1e-200


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """One feature or output in one frame.

    `nulls` and `non_finite` count every row. `count` is the number of sampled values behind the rest:
    `mean`, `m2` (sum of squared deviations from it), `low`, `high` (all 0.0 without values) and `bins`. All
    but the counts are in the units of the column.
    """

    name: str
    kind: str
    count: int = 0
    nulls: int = 0
    non_finite: int = 0
    mean: float = 0.0
    m2: float = 0.0
    low: float = 0.0
    high: float = 0.0
    bins: tuple[int, ...] = ()

    @property
    def variance(self) -> float:
        """The variance of the sample (denominator count - 1); 0.0 for fewer than two values.

        One that is too small to divide by, once it is divided itself, is 0.0 too.
        """
        variance = self.m2 / (self.count - 1) if self.count > 1 else 0.0
        return variance if variance > _LEAST_VARIANCE else 0.0


@dataclass(frozen=True, slots=True)
class ObservationFrame:
    """One window of one partition under one model, or a part of it. Offsets and times are inclusive.

    `first_offset` to `last_offset` are records that were seen, `window_first_offset` to `window_last_offset`
    the range that the window covers. `records` counts every record, `dead_letters` the rejected ones,
    `sampled` the rows behind `signals`.
    """

    version: str
    digest: str
    source: Partition
    first_offset: int
    last_offset: int
    window_first_offset: int
    window_last_offset: int
    first_time_ms: int
    last_time_ms: int
    records: int
    dead_letters: int
    sampled: int
    signals: tuple[ColumnSummary, ...]


@dataclass(frozen=True, slots=True)
class Signals:
    """The features and outputs of a model that are summarised, in order; `widths` are numbers of bins."""

    kinds: Sequence[str]
    names: Sequence[str]
    widths: Sequence[int]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class FrameTables(Sequence[ObservationFrame]):
    """Frames under one model in columns, one row a frame; as a sequence, frames one by one.

    `heads` has the numbers of each frame (shape: frames) by field name of `ObservationFrame`. `counts` (3,
    frames, signals) are count, nulls and non-finite, `moments` (4, frames, signals) are mean, m2, low and
    high. `bins` (frames, bins of all signals) has the bins of the signals one after the other.
    """

    version: str
    digest: str
    sources: Sequence[Partition]
    heads: Mapping[str, Ints]
    signals: Signals
    counts: Ints
    moments: Floats
    bins: Ints

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, row: int, /) -> ObservationFrame: ...

    @overload
    def __getitem__(self, row: slice, /) -> list[ObservationFrame]: ...

    def __getitem__(self, row: int | slice, /) -> ObservationFrame | list[ObservationFrame]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        numbers = {name: int(column[row]) for name, column in self.heads.items()}
        signals = tuple(self._summaries(row))
        return ObservationFrame(self.version, self.digest, self.sources[row], **numbers, signals=signals)

    def _summaries(self, row: int) -> Iterator[ColumnSummary]:
        counts, moments = self.counts[:, row].T.tolist(), self.moments[:, row].T.tolist()
        ends = accumulate(self.signals.widths)
        columns = zip(
            self.signals.names, self.signals.kinds, counts, moments, self.signals.widths, ends, strict=True
        )
        for name, kind, (count, nulls, non_finite), (mean, m2, low, high), width, end in columns:
            bins = tuple(self.bins[row, end - width : end].tolist())
            yield ColumnSummary(name, kind, count, nulls, non_finite, mean, m2, low, high, bins)


def merge_summaries(one: ColumnSummary, other: ColumnSummary) -> ColumnSummary:
    """Return the summary of both samples together (Chan, Golub and LeVeque 1979, equation 2.1)."""
    nulls, non_finite = one.nulls + other.nulls, one.non_finite + other.non_finite
    if not one.count or not other.count:
        return replace(one if one.count else other, nulls=nulls, non_finite=non_finite)
    count = one.count + other.count
    difference = other.mean - one.mean
    return ColumnSummary(
        name=one.name,
        kind=one.kind,
        count=count,
        nulls=nulls,
        non_finite=non_finite,
        mean=one.mean + difference * (other.count / count),
        m2=one.m2 + other.m2 + difference * difference * (one.count * other.count / count),
        low=min(one.low, other.low),
        high=max(one.high, other.high),
        bins=_add_bins(one.bins, other.bins),
    )


def merge_frames(one: ObservationFrame, other: ObservationFrame) -> ObservationFrame:
    """Return two frames of one partition and model as one. A column that only one of them has stays."""
    merged = {(summary.kind, summary.name): summary for summary in one.signals}
    for summary in other.signals:
        key = (summary.kind, summary.name)
        merged[key] = merge_summaries(merged[key], summary) if key in merged else summary
    return replace(
        one,
        first_offset=min(one.first_offset, other.first_offset),
        last_offset=max(one.last_offset, other.last_offset),
        window_first_offset=min(one.window_first_offset, other.window_first_offset),
        window_last_offset=max(one.window_last_offset, other.window_last_offset),
        first_time_ms=min(one.first_time_ms, other.first_time_ms),
        last_time_ms=max(one.last_time_ms, other.last_time_ms),
        records=one.records + other.records,
        dead_letters=one.dead_letters + other.dead_letters,
        sampled=one.sampled + other.sampled,
        signals=tuple(merged.values()),
    )


def _add_bins(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    # A package fixes its bins, so lengths differ only for frames of different models: then none are known.
    return tuple(a + b for a, b in zip(one, other, strict=True)) if len(one) == len(other) else ()
