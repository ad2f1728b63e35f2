"""The plan comes to an end, never repeats what was refused, and serves the best that there is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from stream_infer.rollout.deployment import Deployment, PackageRef
from stream_infer.rollout.reconcile import (
    NOT_DESIRED,
    Action,
    AdoptGeneration,
    FallBack,
    Gates,
    GiveUp,
    NoChange,
    ObservedState,
    ServingPackage,
    Stale,
    TryPackage,
    reconcile,
)


def ref(letter: str, version: str = "1") -> PackageRef:
    return PackageRef("fraud", version, "sha256:" + letter * 64, letter)


A, B, C = ref("a"), ref("b"), ref("c")


def desired(package: PackageRef, generation: int, previous: PackageRef | None = None) -> Deployment:
    return Deployment(
        pipeline="p",
        generation=generation,
        package=package,
        previous=previous,
        requested_by="me",
        requested_at=0,
    )


@dataclass
class Worker:
    """Does what the plan says. `wrong` packages never pass, `slow` ones only without the latency gate."""

    wrong: frozenset[str] = frozenset()
    slow: frozenset[str] = frozenset()
    observed: ObservedState = field(default_factory=ObservedState)
    tried: list[tuple[int, str]] = field(default_factory=list)

    def follow(self, wish: Deployment | None, most: int = 10) -> Action:
        for _ in range(most):
            action = reconcile(wish, self.observed)
            if wish is not None:
                self.observed = replace(self.observed, newest=max(self.observed.newest, wish.generation))
            match action:
                case NoChange() | Stale() | GiveUp():
                    return action
                case AdoptGeneration(generation):
                    assert self.observed.serving is not None
                    self.serve(self.observed.serving.digest, generation)
                case TryPackage(package, generation, gates):
                    self.attempt(package, generation, gates, generation)
                case FallBack(package, generation):
                    self.attempt(package, generation, Gates.WITHOUT_LATENCY, NOT_DESIRED)
        raise AssertionError("the plan does not come to an end")

    def attempt(self, package: PackageRef, generation: int, gates: Gates, label: int) -> None:
        digest = package.digest
        self.tried.append((generation, digest))
        if digest in self.wrong or (digest in self.slow and gates is Gates.ALL):
            refused = self.observed.refused | {(generation, digest)}
            self.observed = replace(self.observed, refused=refused)
        else:
            self.serve(digest, label)

    def serve(self, digest: str, generation: int) -> None:
        served = self.observed.served | {digest}
        self.observed = replace(self.observed, serving=ServingPackage(digest, generation), served=served)

    @property
    def serves(self) -> tuple[str, int] | None:
        serving = self.observed.serving
        return None if serving is None else (serving.digest, serving.generation)


LETTERS = st.sampled_from("abcd")
DIGESTS = st.frozensets(LETTERS.map(lambda letter: ref(letter).digest))
WISHES = st.lists(
    st.builds(desired, LETTERS.map(ref), st.integers(1, 6), st.none() | LETTERS.map(ref)),
    max_size=12,
)


@given(WISHES, DIGESTS, DIGESTS)
def test_any_sequence_of_wishes_is_followed_to_an_end(
    wishes: list[Deployment], wrong: frozenset[str], slow: frozenset[str]
) -> None:
    worker = Worker(wrong, slow)

    for wish in wishes:
        newest, before = worker.observed.newest, worker.serves
        end = worker.follow(wish)

        if wish.generation < newest:
            assert (end, worker.serves) == (Stale(newest), before)
        elif worker.observed.serving is None:
            assert end == GiveUp(wish.generation)
            assert wish.package.digest in wrong | slow
            assert wish.previous is None or wish.previous.digest in wrong | slow
        else:
            assert end == NoChange()
        assert worker.follow(wish) == end

    refused_tries = [tried for tried in worker.tried if tried in worker.observed.refused]
    assert len(refused_tries) == len(set(refused_tries))
    assert not worker.observed.served & wrong


@given(WISHES, DIGESTS, DIGESTS)
def test_a_good_package_always_serves_in_the_generation_that_wants_it(
    wishes: list[Deployment], wrong: frozenset[str], slow: frozenset[str]
) -> None:
    worker = Worker(wrong, slow)

    for wish in wishes:
        newest = worker.observed.newest
        worker.follow(wish)

        if wish.package.digest not in wrong | slow and wish.generation >= newest:
            assert worker.serves == (wish.package.digest, wish.generation)


@given(WISHES, DIGESTS, DIGESTS)
def test_what_serves_is_never_lost(
    wishes: list[Deployment], wrong: frozenset[str], slow: frozenset[str]
) -> None:
    worker = Worker(wrong, slow)
    worker.serve(A.digest, NOT_DESIRED)

    for wish in wishes:
        before = worker.serves
        worker.follow(wish)

        assert worker.serves is not None
        assert worker.serves in {before, (wish.package.digest, wish.generation)}


def test_nothing_desired_is_nothing_to_do() -> None:
    assert Worker().follow(None) == NoChange()


def test_at_start_the_desired_one_is_tried_first_and_then_the_one_before() -> None:
    worker = Worker(wrong=frozenset([B.digest]))

    assert worker.follow(desired(B, 5, previous=A)) == NoChange()
    assert worker.tried == [(5, B.digest), (5, A.digest)]
    assert worker.serves == (A.digest, NOT_DESIRED)


def test_at_start_a_slow_one_before_is_better_than_none() -> None:
    worker = Worker(wrong=frozenset([B.digest]), slow=frozenset([A.digest]))

    worker.follow(desired(B, 5, previous=A))

    assert worker.serves == (A.digest, NOT_DESIRED)


def test_at_start_without_any_that_can_serve_it_gives_up() -> None:
    worker = Worker(wrong=frozenset([A.digest, B.digest]))

    assert worker.follow(desired(B, 5, previous=A)) == GiveUp(5)
    assert Worker(wrong=frozenset([B.digest])).follow(desired(B, 1)) == GiveUp(1)


def test_at_start_what_served_last_comes_after_the_one_before() -> None:
    bad = frozenset([A.digest, B.digest])
    last = ObservedState(last_served=C)

    assert reconcile(desired(B, 5), replace(last, refused=frozenset([(5, B.digest)]))) == FallBack(C, 5)

    worker = Worker(wrong=bad, observed=last)
    assert worker.follow(desired(B, 5, previous=A)) == NoChange()
    assert worker.tried == [(5, B.digest), (5, A.digest), (5, C.digest)]
    assert worker.serves == (C.digest, NOT_DESIRED)

    assert Worker(wrong=bad | {C.digest}, observed=last).follow(desired(B, 5, previous=A)) == GiveUp(5)


def test_what_was_refused_is_tried_again_only_when_it_is_asked_for_again() -> None:
    worker = Worker(wrong=frozenset([B.digest]))
    worker.follow(desired(A, 1))
    for _ in range(3):
        worker.follow(desired(B, 2, previous=A))

    assert worker.tried == [(1, A.digest), (2, B.digest)]

    worker.wrong = frozenset()  # what was wrong was the machine
    worker.follow(desired(B, 3, previous=A))

    assert worker.serves == (B.digest, 3)


def test_a_good_package_of_the_version_that_was_refused_is_taken() -> None:
    bad, good = ref("b", version="2"), ref("c", version="2")
    worker = Worker(wrong=frozenset([bad.digest]))
    for wish in (desired(A, 1), desired(bad, 2, A), desired(good, 3, A)):
        worker.follow(wish)

    assert worker.serves == (good.digest, 3)


def test_a_rollback_from_what_was_refused_only_relabels() -> None:
    worker = Worker(wrong=frozenset([B.digest]))
    for wish in (desired(A, 1), desired(B, 2, A), desired(A, 3, B)):
        worker.follow(wish)

    assert worker.tried == [(1, A.digest), (2, B.digest)]
    assert worker.serves == (A.digest, 3)


def test_a_rollback_to_what_became_slow_is_not_held_up() -> None:
    worker = Worker()
    worker.follow(desired(A, 1))
    worker.follow(desired(B, 2, A))
    worker.slow = frozenset([A.digest, B.digest, C.digest])
    worker.follow(desired(A, 3, B))

    assert worker.serves == (A.digest, 3)

    worker.follow(desired(C, 4, A))

    assert worker.serves == (A.digest, 3)


def test_an_older_wish_is_not_followed() -> None:
    worker = Worker()
    worker.follow(desired(A, 4))

    assert worker.follow(desired(B, 3)) == Stale(4)
    assert worker.serves == (A.digest, 4)


def test_a_fallback_gives_way_to_the_next_good_wish() -> None:
    worker = Worker(wrong=frozenset([B.digest]))
    worker.follow(desired(B, 5, previous=A))
    worker.follow(desired(C, 6, previous=B))

    assert worker.serves == (C.digest, 6)
