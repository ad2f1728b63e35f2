"""The same frames give the same events with aborts and restarts anywhere; any cut gives the same windows."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.drift_streams import Stream, frames, shift
from stream_infer.drift.frames import ObservationFrame, merge_frames
from stream_infer.testing.memory import Fault
from tests.unit.drift.streams import documents, events, monitored, written

# One array of changes: a stream is known by its identity, and made once.
CHANGES = (shift("normal_0", 1.0),)
STREAM = Stream(
    60_000, 7, CHANGES, start=20_000, stop=40_000, burst=(12_000, 12_600), partitions=1, batch=1500
)
WHOLE = monitored(written(STREAM), limit=1000)


@given(script=st.lists(st.sampled_from(Fault), max_size=10), limit=st.integers(3, 40))
@settings(max_examples=12, deadline=None)
def test_the_same_frames_give_the_same_events_with_aborts_and_restarts_anywhere(
    script: list[Fault], limit: int
) -> None:
    log = monitored(written(STREAM), script, limit=limit)

    assert events(log) == events(WHOLE)
    assert documents(log) == documents(WHOLE)


def test_that_stream_has_a_burst_and_a_shift_that_goes_back() -> None:
    reported = [(e["type"], e["drift"]["feature"], e["drift"]["signal"]) for e in events(WHOLE)]

    assert reported == [
        ("quality", "normal_3", "non_finite_rate"),
        ("quality", "normal_3", "non_finite_rate"),
        ("drift.detected", "normal_0", "mean"),
        ("drift.resolved", "normal_0", "mean"),
    ]


def test_the_frames_account_for_every_record() -> None:
    assert sum(documents(WHOLE)["models"].values()) == STREAM.events


@given(st.integers(40, 4000), st.integers(40, 4000))
@settings(max_examples=15, deadline=None)
def test_windows_are_the_same_however_the_stream_was_cut_into_batches(one: int, other: int) -> None:
    assert_alike(windows(one), windows(other))


def windows(batch: int) -> dict[tuple[int, int], ObservationFrame]:
    folds: dict[tuple[int, int], ObservationFrame] = {}
    for frame in cut(batch):
        key = (frame.source.index, frame.window_first_offset)
        folds[key] = merge_frames(folds[key], frame) if key in folds else frame
    return folds


def cut(batch: int) -> Iterator[ObservationFrame]:
    return frames(Stream(9_000, 3, burst=(2_000, 2_100), partitions=2, batch=batch))


def assert_alike(
    some: dict[tuple[int, int], ObservationFrame], others: dict[tuple[int, int], ObservationFrame]
) -> None:
    assert some.keys() == others.keys()
    for key, one in some.items():
        other = others[key]
        assert exact(one) == exact(other)
        for a, b in zip(one.signals, other.signals, strict=True):
            assert abs(a.mean - b.mean) <= 1e-9 * max(1.0, abs(a.mean))
            assert abs(a.m2 - b.m2) <= 1e-9 * max(1.0, a.m2)


def exact(frame: ObservationFrame) -> object:
    return (
        (frame.first_offset, frame.last_offset, frame.first_time_ms, frame.last_time_ms),
        (frame.records, frame.dead_letters, frame.sampled),
        [(s.name, s.count, s.nulls, s.non_finite, s.low, s.high, s.bins) for s in frame.signals],
    )
