from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from stream_infer.common.clock import to_unix_ms, unix_ms


def test_now_is_the_time_of_the_system_in_whole_milliseconds() -> None:
    before = time.time_ns()
    now = unix_ms()
    after = time.time_ns()

    assert before // 1_000_000 <= now <= after // 1_000_000


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2026, 1, 31, 12, 0, 0, 123_499, tzinfo=UTC), 1_769_860_800_123),
        (datetime(2026, 1, 31, 12, 0, 0, 123_501, tzinfo=UTC), 1_769_860_800_124),
        (datetime(2026, 1, 31, 14, tzinfo=timezone(timedelta(hours=2))), 1_769_860_800_000),
        (datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), -1),
    ],
)
def test_a_moment_is_rounded_to_the_nearest_millisecond(moment: datetime, expected: int) -> None:
    assert to_unix_ms(moment) == expected
