"""A clock shows what can still come: the slowest partition that has not ended."""

from __future__ import annotations

from stream_infer.drift.clock import DISORDER_MS, TopicClock


def test_the_slowest_partition_counts_and_one_that_was_never_read_stops_it() -> None:
    clock = TopicClock()
    clock.saw(0, 5_000_000)
    clock.saw(1, 3_000_000)
    clock.saw(1, 2_000_000)

    assert clock.now_ms([0, 1], (), 9_000_000) == 3_000_000 - DISORDER_MS
    assert clock.now_ms([0, 1, 2], (), 9_000_000) == -DISORDER_MS
    assert clock.now_ms([], (), 9_000_000) == -DISORDER_MS


def test_a_partition_that_has_ended_was_read_up_to_that_moment() -> None:
    clock = TopicClock()
    clock.saw(0, 5_000_000)

    assert clock.now_ms([0, 1], {1}, 9_000_000) == 5_000_000 - DISORDER_MS
    assert clock.now_ms([0, 1], {0}, 9_500_000) == 9_000_000 - DISORDER_MS
