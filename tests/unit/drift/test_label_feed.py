"""The usual gap between labels follows from their record times, and is kept."""

from __future__ import annotations

import json

from stream_infer.drift.label_feed import LabelFeed

DAY_MS = 86_400_000


def feed(*times: int) -> LabelFeed:
    known = LabelFeed()
    for one in times:
        known.observe(one)
    return known


def test_labels_that_come_once_a_day_have_a_gap_of_a_day_whatever_number_comes() -> None:
    known = feed(*(day * DAY_MS + second * 1_000 for day in range(1, 4) for second in range(500)))

    assert known.longest_gap_ms == DAY_MS - 499_000
    assert LabelFeed(*json.loads(json.dumps(known.to_document()))).longest_gap_ms == known.longest_gap_ms


def test_a_feed_without_labels_has_not_begun() -> None:
    assert not feed().has_begun
    assert feed(5).has_begun


def test_labels_of_several_partitions_that_come_out_of_order_make_no_gap() -> None:
    assert feed(60_000, 50_000, 61_000, 52_000).longest_gap_ms == 0


def test_a_gap_is_forgotten_after_twenty_others() -> None:
    times = [0, 10 * DAY_MS]
    times += [10 * DAY_MS + 60_000 * number for number in range(1, 22)]

    assert feed(1, *times[1:]).longest_gap_ms == 60_000
