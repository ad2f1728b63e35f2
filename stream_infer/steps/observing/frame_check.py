"""What a frame of our own can say: a foreign or damaged one must not reach the detectors."""

from __future__ import annotations

import math
from collections.abc import Iterator

from stream_infer.drift.frames import ColumnSummary, ObservationFrame

_MOST = 2**53  # beyond it sums of counts are not exact as floats


def check_frame(frame: ObservationFrame) -> None:
    """Raise `ValueError` with one sentence when a number of `frame` is impossible."""
    for problem in _problems(frame):
        raise ValueError(f"not an observation frame: {problem}")


def _problems(frame: ObservationFrame) -> Iterator[str]:
    counts = {"records": frame.records, "dead_letters": frame.dead_letters, "sampled": frame.sampled}
    yield from (f"{name} is {count}" for name, count in counts.items() if not 0 <= count <= _MOST)
    if not 0 <= frame.window_first_offset <= frame.first_offset <= frame.last_offset:
        yield "its offsets are not in order"
    if frame.last_offset > frame.window_last_offset:
        yield "its offsets are beyond its window"
    for one in frame.signals:
        yield from _summary_problems(one)


def _summary_problems(one: ColumnSummary) -> Iterator[str]:
    if not all(0 <= count <= _MOST for count in (one.count, one.nulls, one.non_finite, *one.bins)):
        yield f"a count of {one.name!r} is out of range"
    if not all(map(math.isfinite, (one.mean, one.m2, one.low, one.high))) or one.m2 < 0:
        yield f"a moment of {one.name!r} is impossible"
