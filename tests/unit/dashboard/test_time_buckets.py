from __future__ import annotations

import pytest

from stream_infer.dashboard.time_buckets import Resolution, TimeBuckets

FIVE = Resolution("5s", 1_000, 5)


def test_numbers_of_one_bucket_are_added_and_the_greatest_is_kept() -> None:
    buckets = TimeBuckets(FIVE, 1, 1)
    buckets.note(10_000, (2.0,), (7.0,))
    buckets.note(10_999, (3.0,), (5.0,))
    buckets.note(11_000, (4.0,), (1.0,))

    starts, values = buckets.points(11_500)

    assert starts.tolist() == [10_000, 11_000]
    assert values.tolist() == [[5.0, 7.0], [4.0, 1.0]]


def test_only_the_span_is_kept_whatever_comes() -> None:
    buckets = TimeBuckets(FIVE, 1)
    for second in range(1_000):
        buckets.note(second * 1_000, (1.0,))

    starts, values = buckets.points(999_000)

    assert starts.tolist() == [995_000, 996_000, 997_000, 998_000, 999_000]
    assert values.sum() == 5


def test_what_is_older_than_the_span_changes_nothing() -> None:
    buckets = TimeBuckets(FIVE, 1)
    buckets.note(20_000, (1.0,))
    buckets.note(15_000, (9.0,))

    assert buckets.points(20_000)[1].tolist() == [[1.0]]


def test_buckets_of_a_pause_are_not_told_as_values() -> None:
    buckets = TimeBuckets(FIVE, 1)
    buckets.note(10_000, (1.0,))

    assert buckets.points(60_000)[0].tolist() == []
    assert buckets.total(55_000, 60_000).tolist() == [0.0]


@pytest.mark.parametrize(
    ("since", "total"), [(10_000, [6.0, 3.0]), (12_000, [3.0, 3.0]), (13_000, [0.0, 0.0])]
)
def test_the_total_is_of_the_buckets_from_a_time_on(since: int, total: list[float]) -> None:
    buckets = TimeBuckets(FIVE, 1, 1)
    for at, amount in ((10_000, 1.0), (11_000, 2.0), (12_000, 3.0)):
        buckets.note(at, (amount,), (amount,))

    assert buckets.total(since, 12_500).tolist() == total
