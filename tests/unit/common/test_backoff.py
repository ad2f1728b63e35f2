from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_infer.common.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.5, most_s=3.0)

    assert [backoff.pause_s(failures) for failures in (1, 2, 3, 4, 1_000_000)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(failures=st.integers(1, 10_000), first_s=st.floats(0.0, 10.0), most_s=st.floats(0.0, 100.0))
def test_pauses_never_shrink_and_never_exceed_the_longest(
    failures: int, first_s: float, most_s: float
) -> None:
    backoff = Backoff(first_s, most_s)

    assert backoff.pause_s(failures) <= backoff.pause_s(failures + 1) <= most_s
    assert backoff.pause_s(1) == min(first_s, most_s)
