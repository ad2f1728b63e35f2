"""What the deployer knows after each happening: status for people, state for the next decision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_infer.common.backoff import Backoff
from stream_infer.flow.codes import RefusalCode
from stream_infer.rollout.deployment import PackageRef, StoreProblem
from stream_infer.rollout.reconcile import NOT_DESIRED, ServingPackage
from stream_infer.rollout.status import DeployerState, Rejection, ServedPackage
from stream_infer.rollout.view import RolloutView
from tests.unit.rollout.following import desired

A, B = (PackageRef("line", version, "sha256:" + version * 64, version) for version in "12")
ONE, TWO, AGAIN = desired(A, 1), desired(B, 2, A), desired(B, 3, A)
GONE = StoreProblem(RefusalCode.GONE, "the store is not there")
BUSY = StoreProblem(RefusalCode.BUSY, "no more processes")
BACKOFF = Backoff(first_s=1.0, most_s=3.0)
SERVING_A = RolloutView().polled(ONE).seen(1).serving(ServedPackage(A, 1, 5))


def rejection(package: PackageRef, generation: int) -> Rejection:
    return Rejection(generation, package, RefusalCode.GOLDEN, "row 1")


def test_a_new_deployment_is_desired_and_the_problem_before_is_over() -> None:
    view = SERVING_A.polled(GONE).polled(TWO)

    assert view.status == replace(SERVING_A.status, desired=TWO)
    assert view.status.state is DeployerState.DEPLOYING
    assert not view.source_down


def test_a_source_that_is_down_leaves_the_desired_deployment_and_stops_reconciling() -> None:
    view = SERVING_A.polled(GONE)

    assert (view.status.desired, view.status.problem) == (ONE, GONE)
    assert view.status.state is DeployerState.WAITING
    assert view.to_reconcile(0.0) is None
    assert view.polled(ONE).to_reconcile(0.0) == ONE


def test_a_package_serves_and_counts_as_served_from_then_on() -> None:
    observed = SERVING_A.known_served(frozenset({B.digest})).serving(ServedPackage(A, 1, 5)).observed

    assert observed.serving == ServingPackage(A.digest, 1)
    assert observed.served == {A.digest, B.digest}


def test_a_refusal_is_about_one_generation_and_ends_with_the_next() -> None:
    refused = SERVING_A.polled(TWO).refused(rejection(B, 2), TWO)

    assert refused.observed.refused == {(2, B.digest)}
    assert refused.status.state is DeployerState.REJECTED
    assert refused.polled(TWO).status.rejected == rejection(B, 2)
    assert refused.polled(AGAIN).status.rejected is None
    assert refused.polled(AGAIN).observed.refused == {(2, B.digest)}


def test_the_refusal_of_a_fallback_is_no_refusal_of_the_desired_package() -> None:
    view = RolloutView().polled(TWO).refused(rejection(B, 2), TWO).refused(rejection(A, 2), TWO)

    assert view.status.rejected == rejection(B, 2)
    assert view.observed.refused == {(2, B.digest), (2, A.digest)}
    assert view.nothing_left().code is RefusalCode.GOLDEN
    assert str(view.nothing_left()) == ("line 2: row 1; nor can line 1 serve, which was before: row 1")


def test_a_problem_of_the_source_outlives_the_package_that_was_tried_meanwhile() -> None:
    down = SERVING_A.polled(TWO).polled(GONE)

    assert down.serving(ServedPackage(B, 2, 6)).status.problem == GONE
    assert down.refused(rejection(B, 2), TWO).status.problem == GONE
    assert SERVING_A.with_problem(BUSY).serving(ServedPackage(A, 1, 5)).status.problem is None


def test_tries_that_cannot_be_made_are_postponed_longer_and_longer() -> None:
    once = SERVING_A.polled(TWO).postponed(BUSY, 10.0, BACKOFF)
    twice = once.postponed(BUSY, 11.0, BACKOFF)

    assert [once.to_reconcile(now) for now in (10.9, 11.0)] == [None, TWO]
    assert [twice.to_reconcile(now) for now in (12.9, 13.0)] == [None, TWO]
    assert once.status.problem == BUSY
    for over in (twice.polled(AGAIN), twice.serving(ServedPackage(B, 2, 6))):
        assert (over.failures, over.next_try_at) == (0, 0.0)


@pytest.mark.parametrize(
    ("answer", "superseded"),
    [(ONE, False), (TWO, False), (AGAIN, True), (desired(A, 2), True), (GONE, False)],
)
def test_a_trial_is_superseded_by_another_deployment_that_is_not_older(
    answer: object, *, superseded: bool
) -> None:
    view = RolloutView().polled(TWO).polled(answer)  # type: ignore[arg-type]

    assert view.superseded(TWO) is superseded


def test_the_newest_generation_is_never_forgotten() -> None:
    assert RolloutView().observed.newest == NOT_DESIRED
    assert RolloutView().seen(5).seen(4).observed.newest == 5
