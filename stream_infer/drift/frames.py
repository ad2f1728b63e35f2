"""What scoring saw, summarised by partition, model and window of offsets. Frames of one window merge.

Values and their merging only. `steps.observing.observe` makes frames from a batch,
`steps.observing.frame_record` encodes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from stream_infer.flow.records import Partition

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FEATURE_NUMBER = "feature.number"
FEATURE_CATEGORY = "feature.category"
OUTPUT_NUMBER = "output.number"
OUTPUT_CATEGORY = "output.category"


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """One feature or output in one frame.

    `nulls` and `non_finite` are exact, of every row. `count` is how many sampled values are behind the rest:
    `mean`, `m2` (sum of squared deviations), `low`, `high` (all 0.0 when there are none) and `bins`.
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
        """The variance of the sample (denominator count - 1); 0.0 for fewer than two values."""
        return self.m2 / (self.count - 1) if self.count > 1 else 0.0


@dataclass(frozen=True, slots=True)
class ObservationFrame:
    """One window of one partition under one model, or a part of it. Offsets and times are inclusive."""

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
    """Which features and outputs of a model are summarised, in order; `widths` is how many bins each has."""

    kinds: Sequence[str]
    names: Sequence[str]
    widths: Sequence[int]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class FrameTables(Sequence[ObservationFrame]):
    """Frames under one model in columns, a row each. As a sequence, it has them one by one.

    `heads` has the numbers of each frame, by field name of `ObservationFrame`. `counts` are count, nulls and
    non-finite, `moments` are mean, m2, low and high, both (what, frames, signals). `bins` are (frames,
    the bins of all signals one after the other).
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
        for name, kind, of_counts, of_moments, width, end in columns:
            count, nulls, non_finite = of_counts
            mean, m2, low, high = of_moments
            bins = tuple(self.bins[row, end - width : end].tolist())
            yield ColumnSummary(name, kind, count, nulls, non_finite, mean, m2, low, high, bins)


def merged(one: ColumnSummary, other: ColumnSummary) -> ColumnSummary:
    """Return the summary of both samples together (Chan, Golub and LeVeque 1979, equation 2.1)."""
    nulls, non_finite = one.nulls + other.nulls, one.non_finite + other.non_finite
    if not one.count or not other.count:
        return replace(one if one.count else other, nulls=nulls, non_finite=non_finite)
    count = one.count + other.count
    apart = other.mean - one.mean
    return ColumnSummary(
        name=one.name,
        kind=one.kind,
        count=count,
        nulls=nulls,
        non_finite=non_finite,
        mean=one.mean + apart * (other.count / count),
        m2=one.m2 + other.m2 + apart * apart * (one.count * other.count / count),
        low=min(one.low, other.low),
        high=max(one.high, other.high),
        bins=_added(one.bins, other.bins),
    )


def folded(one: ObservationFrame, other: ObservationFrame) -> ObservationFrame:
    """Return both frames of one partition and model as one. A signal that only one of them has stays."""
    known = {(s.kind, s.name): s for s in one.signals}
    for signal in other.signals:
        key = (signal.kind, signal.name)
        known[key] = merged(known[key], signal) if key in known else signal
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
        signals=tuple(known.values()),
    )


def to_document(frame: ObservationFrame) -> dict[str, object]:
    """Return `frame` as JSON values."""
    return {
        "version": frame.version,
        "digest": frame.digest,
        "source": [frame.source.topic, frame.source.index],
        "offsets": [
            frame.first_offset, frame.last_offset, frame.window_first_offset, frame.window_last_offset
        ],
        "times_ms": [frame.first_time_ms, frame.last_time_ms],
        "counts": [frame.records, frame.dead_letters, frame.sampled],
        "signals": [
            [s.name, s.kind, s.count, s.nulls, s.non_finite, s.mean, s.m2, s.low, s.high, list(s.bins)]
            for s in frame.signals
        ],
    }  # fmt: skip


def from_document(document: Mapping[str, object]) -> ObservationFrame:
    """Return the frame that `to_document` wrote."""
    first, last, window_first, window_last = _list(document["offsets"])
    first_time, last_time = _list(document["times_ms"])
    records, dead_letters, sampled = _list(document["counts"])
    return ObservationFrame(
        version=str(document["version"]),
        digest=str(document["digest"]),
        source=Partition(*_list(document["source"])),
        first_offset=first,
        last_offset=last,
        window_first_offset=window_first,
        window_last_offset=window_last,
        first_time_ms=first_time,
        last_time_ms=last_time,
        records=records,
        dead_letters=dead_letters,
        sampled=sampled,
        signals=tuple(_summary(*one) for one in _list(document["signals"])),
    )


def _summary(
    name: str,
    kind: str,
    count: int,
    nulls: int,
    non_finite: int,
    *rest: Any,  # noqa: ANN401 - JSON
) -> ColumnSummary:
    mean, m2, low, high, bins = rest
    return ColumnSummary(name, kind, count, nulls, non_finite, mean, m2, low, high, tuple(bins))


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _added(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    # A package fixes its bins, so lengths differ only when frames are not of one model: then none are known.
    return tuple(a + b for a, b in zip(one, other, strict=True)) if len(one) == len(other) else ()
