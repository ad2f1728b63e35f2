"""The watermark of a topic is that of its slowest partition that has not ended."""

from __future__ import annotations

from stream_infer.drift.clock import DISORDER_MS, TopicClock


def test_the_slowest_partition_counts_and_one_without_a_record_stops_the_clock() -> None:
    clock = TopicClock()
    clock.observe(0, 5_000_000)
    clock.observe(1, 3_000_000)
    clock.observe(1, 2_000_000)

    assert clock.watermark_ms([0, 1], (), 9_000_000) == 3_000_000 - DISORDER_MS
    assert clock.watermark_ms([0, 1, 2], (), 9_000_000) == -DISORDER_MS
    assert clock.watermark_ms([], (), 9_000_000) == -DISORDER_MS


def test_a_partition_that_has_ended_was_read_up_to_that_moment() -> None:
    clock = TopicClock()
    clock.observe(0, 5_000_000)

    assert clock.watermark_ms([0, 1], {1}, 9_000_000) == 5_000_000 - DISORDER_MS
    assert clock.watermark_ms([0, 1], {0}, 9_500_000) == 9_000_000 - DISORDER_MS
