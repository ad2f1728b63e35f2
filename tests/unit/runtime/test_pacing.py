from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_infer.runtime.pacing import Pace, Pacing


def test_small_batches_are_kept_the_interval_apart() -> None:
    pace = Pace(Pacing(max_records=100, commit_interval_s=0.02))

    pace.was_read(3, now=10.0)

    assert abs(pace.pause_s(10.005) - 0.015) < 1e-9
    assert pace.pause_s(10.02) == 0.0


def test_a_full_batch_is_followed_at_once() -> None:
    pace = Pace(Pacing(max_records=100, commit_interval_s=0.02))

    pace.was_read(100, now=10.0)

    assert pace.pause_s(10.0) == 0.0


def test_replays_back_off_until_a_commit() -> None:
    pace = Pace(Pacing())
    pauses = []
    for _ in range(12):
        pace.was_aborted(now=0.0)
        pauses.append(pace.pause_s(0.0))

    pace.was_committed()
    pace.was_aborted(now=0.0)

    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert pauses[-1] == 5.0
    assert pace.pause_s(0.0) == 0.05


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 200)), max_size=40))
def test_the_pause_is_never_longer_than_the_longest_backoff(turns: list[tuple[bool, int]]) -> None:
    pace = Pace(Pacing(max_records=100))
    for aborted, records in turns:
        pace.was_read(records, now=0.0)
        if aborted:
            pace.was_aborted(now=0.0)
        else:
            pace.was_committed()
        assert 0.0 <= pace.pause_s(0.0) <= 5.0
