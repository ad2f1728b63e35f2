"""A window closes by a later frame, another model or age, and is evaluated once it has enough rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.windows import (
    StreamKey,
    WindowPolicy,
    Windows,
    pending_from_document,
    pending_to_document,
)
from stream_infer.flow.records import Partition

POLICY = WindowPolicy(min_rows=100, max_age_ms=1_000)
SIZE = 10


def frame(window: int, rows: int = 100, *, index: int = 0, digest: str = "d1") -> ObservationFrame:
    first = window * SIZE
    return ObservationFrame(
        "1.0.0",
        digest,
        Partition("events", index),
        first,
        first + SIZE - 1,
        first,
        first + SIZE - 1,
        0,
        0,
        records=SIZE,
        dead_letters=1,
        sampled=rows,
        signals=(),
    )


def closed(windows: Windows, frames: Sequence[ObservationFrame], now_ms: int = 0) -> list[tuple[int, int]]:
    """Return first offset and sampled rows of each window that is complete."""
    complete = [window for one in frames for window in windows.add(one, now_ms)]
    return [(window.window_first_offset, window.sampled) for window in complete]


def test_frames_of_one_window_are_merged_and_a_later_window_closes_it() -> None:
    windows = Windows(POLICY)

    assert closed(windows, [frame(0, 60), frame(0, 70)]) == []
    assert closed(windows, [frame(1)]) == [(0, 130)]


def test_an_earlier_window_closes_it_too_where_the_offsets_begin_again() -> None:
    windows = Windows(POLICY)

    assert closed(windows, [frame(7), frame(0, 60), frame(0, 70)]) == [(70, 100)]
    assert closed(windows, [frame(1)]) == [(0, 130)]


def test_a_window_with_too_few_rows_is_merged_with_the_next_ones() -> None:
    windows = Windows(POLICY)

    assert closed(windows, [frame(0, 40), frame(1, 40), frame(2, 40)]) == []
    assert closed(windows, [frame(3, 40)]) == [(0, 120)]
    assert closed(windows, [frame(4, 40)]) == []


def test_another_model_on_the_partition_closes_the_window_of_the_one_before() -> None:
    windows = Windows(POLICY)

    assert closed(windows, [frame(0)]) == []
    assert closed(windows, [frame(1, index=1, digest="d2")]) == []
    assert closed(windows, [frame(0, digest="d2")]) == [(0, 100)]


def test_a_stream_without_frames_closes_by_age() -> None:
    windows = Windows(POLICY)

    assert closed(windows, [frame(0)], now_ms=0) == []
    assert closed(windows, [frame(0, index=1)], now_ms=1_000) == []
    assert closed(windows, [frame(0, index=1)], now_ms=1_001) == [(0, 100)]


def test_a_restored_window_continues_where_it_was() -> None:
    windows, stream = Windows(POLICY), StreamKey(Partition("events", 0), "d1")
    closed(windows, [frame(0, 40), frame(1, 70)])
    assert windows.changed == {stream}

    again, pending = Windows(POLICY), windows.pending(stream)
    assert pending is not None
    again.restore(stream, pending_from_document(json.loads(json.dumps(pending_to_document(pending)))))

    assert closed(again, [frame(2)]) == closed(windows, [frame(2)]) == [(0, 110)]
