from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from stream_infer.runtime.pacing import Cost, Decision, Pace, Pacing, decide

seconds = st.floats(0.0, 100.0)
costs = st.builds(Cost, st.floats(0.0, 10.0), st.floats(1e-7, 1.0))
policies = st.builds(
    Pacing,
    max_records=st.integers(1, 100_000),
    commit_interval_s=st.floats(0.0, 1.0),
    latency_goal_s=st.floats(0.001, 10.0),
    max_bytes=st.integers(1, 2**30),
    batch_within_s=st.floats(0.1, 300.0),
)


def turn(pace: Pace, waiting: int, cost: Cost, now: float, size: int = 1) -> tuple[int, float]:
    """Read what waits as the loop does, let it cost what it costs, and return its size and the new time."""
    now += pace.pause_s(now)
    records = min(waiting, pace.decision.limit)
    pace.was_read([bytes(size)] * records, now)
    now += cost.fixed_s + records * cost.record_s
    pace.was_committed(now)
    return records, now


def settled(pace: Pace, cost: Cost, *, size: int = 1) -> Decision:
    """Return the decision after many full batches, among them some small ones that tell the costs apart."""
    now = 0.0
    for at in range(60):
        _, now = turn(pace, 10 if at % 3 == 0 else 10**7, cost, now, size)
    _, now = turn(pace, 10**7, cost, now, size)
    return pace.decision


def test_small_batches_are_kept_the_interval_apart() -> None:
    pace = Pace(Pacing(max_records=100, commit_interval_s=0.02))

    pace.was_read([b"x"] * 3, now=10.0)

    assert abs(pace.pause_s(10.005) - 0.015) < 1e-9
    assert pace.pause_s(10.02) == 0.0


def test_reads_wait_longer_once_nothing_has_come_for_seconds_and_as_before_after_a_record() -> None:
    pace = Pace(Pacing(wait_s=0.1, idle_wait_s=0.5))

    waits = [pace.wait_s(now) for now in (100.0, 104.9, 105.0)]
    pace.was_read([b"v"], 106.0)
    waits += [pace.wait_s(now) for now in (107.0, 111.9, 112.0)]

    assert waits == [0.1, 0.1, 0.5, 0.1, 0.1, 0.5]


def test_a_full_batch_is_followed_at_once() -> None:
    pace = Pace(Pacing(max_records=100, commit_interval_s=0.02))

    pace.was_read([b"x"] * 100, now=10.0)

    assert pace.pause_s(10.0) == 0.0
    assert pace.decision.behind


def test_replays_back_off_until_a_commit() -> None:
    pace = Pace(Pacing())
    pauses = []
    for _ in range(12):
        pace.was_aborted(now=0.0)
        pauses.append(pace.pause_s(0.0))

    pace.was_read([b"x"], now=0.0)
    pace.was_committed(now=0.0)
    pace.was_aborted(now=0.0)

    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert pauses[-1] == 5.0
    assert pace.pause_s(0.0) == 0.05


def test_costs_are_told_apart_by_batches_of_different_size() -> None:
    cost = settled(Pace(Pacing()), Cost(0.008, 4e-6)).cost

    assert abs(cost.fixed_s - 0.008) < 1e-4
    assert abs(cost.record_s - 4e-6) < 1e-7


def test_a_slow_model_gets_batches_that_take_half_the_goal() -> None:
    pace = Pace(Pacing(latency_goal_s=0.1))
    settled(pace, Cost(0.005, 1e-3))

    pace.was_read([b"x"], now=1e6)

    assert not pace.decision.behind
    assert 43 <= pace.decision.limit <= 47


def test_behind_batches_grow_until_the_fixed_cost_is_a_small_share() -> None:
    decision = settled(Pace(Pacing(max_records=10**6)), Cost(0.01, 1e-5))

    assert decision.behind
    share = 0.01 / (0.01 + decision.limit * 1e-5)
    assert 0.04 < share < 0.06


def test_far_from_a_broker_records_may_take_as_long_as_the_fixed_cost() -> None:
    far = Cost(fixed_s=0.45, record_s=1e-4)

    decision = decide(Pacing(latency_goal_s=0.1), far, behind=False, record_bytes=1, ventured=10**6)

    assert decision.limit == 4_500


def test_a_slow_broker_makes_pauses_longer_but_not_longer_than_a_quarter_of_the_goal() -> None:
    quick, slow, dead = (Cost(fixed, 1e-6) for fixed in (0.001, 0.015, 3.0))
    policy = Pacing(commit_interval_s=0.01, latency_goal_s=0.2)

    pauses = [
        decide(policy, cost, behind=False, record_bytes=1, ventured=9).interval_s
        for cost in (quick, slow, dead)
    ]

    assert pauses == [0.01, 0.03, 0.05]


def test_large_events_make_small_batches() -> None:
    decision = settled(Pace(Pacing(max_bytes=2**20)), Cost(0.01, 1e-6), size=2**13)

    assert decision.limit == 128


def test_what_was_never_tried_is_approached_in_steps() -> None:
    pace, cost, now = Pace(Pacing(max_records=10**6)), Cost(0.01, 1e-6), 0.0
    sizes = []
    for _ in range(5):
        size, now = turn(pace, 10**7, cost, now)
        sizes.append(size)

    assert sizes[0] == 32
    assert all(after <= 4 * before for before, after in pairwise(sizes))
    assert sizes[-1] > 5_000


def test_a_batch_that_outlasted_its_limit_is_halved_until_one_is_done_in_time() -> None:
    pace, record_s = Pace(Pacing(batch_within_s=1.5)), 2.0
    sizes, now, done = [], 0.0, False
    while not done:
        now += pace.pause_s(now)
        sizes.append(pace.decision.limit)
        pace.was_read([b"x"] * pace.decision.limit, now)
        now += pace.decision.limit * record_s
        done = sizes[-1] * record_s < 15
        if done:
            pace.was_committed(now)
        else:
            pace.was_aborted(now)

    assert sizes == [32, 16, 8, 4]
    assert pace.decision.limit == 1  # 1.5 s are not enough for two


def test_a_batch_that_was_aborted_in_time_keeps_its_size() -> None:
    pace = Pace(Pacing(batch_within_s=30.0))
    settled(pace, Cost(0.01, 1e-5))
    before = pace.decision.limit

    pace.was_read([b"x"] * before, now=1e6)
    pace.was_aborted(now=1e6 + 29.0)

    assert pace.decision.limit == before


@given(
    policy=policies, cost=costs, behind=st.booleans(), size=st.floats(0, 1e7), ventured=st.integers(1, 10**6)
)
def test_no_bound_is_ever_passed(
    policy: Pacing, cost: Cost, *, behind: bool, size: float, ventured: int
) -> None:
    decision = decide(policy, cost, behind=behind, record_bytes=size, ventured=ventured)

    assert 1 <= decision.limit <= min(policy.max_records, ventured)
    assert decision.limit == 1 or decision.limit * size <= policy.max_bytes
    assert (
        decision.limit == 1 or cost.fixed_s + decision.limit * cost.record_s <= policy.batch_within_s * 1.001
    )
    assert decision.interval_s >= policy.commit_interval_s
    assert decision.interval_s <= max(policy.commit_interval_s, policy.latency_goal_s / 4)


@given(policy=policies, cost=costs, size=st.floats(0, 1e7), ventured=st.integers(1, 10**6))
def test_batches_are_never_smaller_behind_than_otherwise(
    policy: Pacing, cost: Cost, size: float, ventured: int
) -> None:
    quiet = decide(policy, cost, behind=False, record_bytes=size, ventured=ventured)
    behind = decide(policy, cost, behind=True, record_bytes=size, ventured=ventured)

    assert behind.limit >= quiet.limit
    assert replace(quiet, limit=0, behind=True) == replace(behind, limit=0)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5_000), seconds), max_size=40))
def test_whatever_happens_there_is_a_next_batch_in_finite_time(turns: list[tuple[bool, int, float]]) -> None:
    pace, now = Pace(Pacing(max_records=100)), 0.0
    for aborted, waiting, took_s in turns:
        records = min(waiting, pace.decision.limit)
        pace.was_read([b"x"] * records, now)
        now += took_s
        if aborted:
            pace.was_aborted(now)
        else:
            pace.was_committed(now)
        assert 0.0 <= pace.pause_s(now) <= 5.0
        assert 1 <= pace.decision.limit <= 100
        assert pace.decision.cost.record_s > 0.0
        assert pace.decision.cost.fixed_s >= -1e-9
