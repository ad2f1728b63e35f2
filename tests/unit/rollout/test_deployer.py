"""What is desired comes to serve; what cannot serve changes nothing but the status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_infer.flow.errors import Refused
from stream_infer.models.active import ServingModel
from stream_infer.rollout.candidate_loader import Rehearse
from stream_infer.rollout.deployment import PackageRef, StoreProblem
from stream_infer.rollout.guarded_load import Trial
from stream_infer.rollout.reconcile import Gates
from stream_infer.rollout.rehearsal import Rehearsal
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.rehearsal_task import RehearsalLimits
from stream_infer.rollout.status import DeployerState, DeployerStatus
from tests.unit.rollout.following import Following, ScriptedSource, desired
from tests.unit.rollout.packages import differs_when_loaded_again, eats_memory, exits, hangs, package

GONE = StoreProblem("gone", "the store is not there")


def answers(serving_model: ServingModel) -> float:
    value = serving_model.model.predict(np.array([[1.0]])).value
    assert value is not None
    return float(value[0])


def is_in(state: DeployerState, generation: int) -> Callable[[DeployerStatus], bool]:
    return lambda status: (
        status.state is state and status.desired is not None and status.desired.generation == generation
    )


def flipped_byte(path: Path) -> PackageRef:
    ref = package(path, 2.0)
    model = path / "model.joblib"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    return ref


def half_copied(path: Path) -> PackageRef:
    ref = package(path, 2.0)
    (path / "model.joblib").unlink()
    return ref


def not_a_package(path: Path) -> PackageRef:
    path.write_text("hello")
    return PackageRef("line", "2", "sha256:" + "0" * 64, path.name)


BAD: dict[str, tuple[Callable[[Path], PackageRef], str]] = {
    "a flipped byte": (flipped_byte, "digest"),
    "half copied": (half_copied, "missing_file"),
    "not a package": (not_a_package, "not_a_package"),
    "another package under the name": (
        lambda path: PackageRef("line", "2", "sha256:" + "0" * 64, package(path, 2.0).uri),
        "digest",
    ),
    "features that the events lack": (lambda path: package(path, 2.0, source="z"), "schema"),
    "another library version": (
        lambda path: package(path, 2.0, libraries={"scikit-learn": "0.1.0"}),
        "library_version",
    ),
    "other answers than its golden rows": (lambda path: package(path, 2.0, says=2.5), "golden"),
    "hangs when it is loaded": (lambda path: package(path, 2.0, hangs()), "timeout"),
    "crashes when it is loaded": (lambda path: package(path, 2.0, exits()), "crash"),
    "takes all memory": (lambda path: package(path, 2.0, eats_memory()), "memory"),
    "other answers in the worker": (
        lambda path: package(path, 2.0, differs_when_loaded_again(path.with_suffix(".loaded"))),
        "golden",
    ),
}


def rehearses(bad: PackageRef, *, timeout_s: float) -> Rehearse:
    """Rehearse `bad` in a process of its own, and no other: that takes seconds."""
    limits = RehearsalLimits(timeout_s=timeout_s, memory_bytes=2**28, batch_records=10)
    rehearsal = Rehearsal(limits, RehearsalCache())

    def rehearse(path: Path, digest: str, *, gates: Gates, cancelled: Callable[[], bool]) -> object | None:
        return digest != bad.digest or rehearsal(path, digest, gates=gates, cancelled=cancelled)

    return rehearse


@pytest.mark.slow
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_package_leaves_the_one_before_serving(tmp_path: Path, kind: str) -> None:
    make, code = BAD[kind]
    bad = make(tmp_path / "bad")
    good = package(tmp_path / "good", 1.0)
    rehearse = rehearses(bad, timeout_s=3.0 if code == "timeout" else 60.0)
    following = Following(ScriptedSource(tmp_path, desired(good, 1)), rehearse)

    with following.running() as active:
        following.source.answer(desired(bad, 2, good))
        status = following.wait_for(is_in(DeployerState.REJECTED, 2))
        rejected, served = status.rejected, status.served

        assert rejected is not None
        assert (rejected.generation, rejected.package, rejected.reason_code) == (2, bad, code)
        assert served is not None
        assert (served.package, served.generation) == (good, 1)
        assert (answers(active.current), active.current.generation) == (1.0, 1)


def test_what_is_desired_replaces_what_serves(tmp_path: Path) -> None:
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0, version="2")
    following = Following(ScriptedSource(tmp_path, desired(one, 1)))

    with following.running() as active:
        first = active.current
        following.now_s = 5.0
        following.source.answer(desired(two, 2, one))
        status = following.wait_for(is_in(DeployerState.SERVING, 2))

        assert status.served is not None
        assert (status.served.package, status.served.since_ms) == (two, 5_000)
        assert (answers(first), answers(active.current)) == (1.0, 2.0)
        assert (first.generation, active.current.generation) == (1, 2)


def test_a_refused_package_is_not_tried_again_until_it_is_asked_for_again(tmp_path: Path) -> None:
    tried: list[str] = []

    def refuses_two(_path: Path, digest: str, **_rest: Any) -> object:
        tried.append(digest)
        if digest == two.digest and tried.count(digest) == 1:
            raise Refused("golden", "no")
        return True

    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)), refuses_two)

    with following.running() as active:
        following.source.answer(desired(two, 2, one))
        following.wait_for(is_in(DeployerState.REJECTED, 2))
        following.source.answer(GONE)  # two turns that change nothing
        following.source.answer(desired(two, 2, one))
        following.wait_for(is_in(DeployerState.REJECTED, 2))

        assert tried == [one.digest, two.digest]

        following.source.answer(desired(two, 3, one))
        following.wait_for(is_in(DeployerState.SERVING, 3))

        assert answers(active.current) == 2.0


def test_the_good_package_of_the_same_version_is_taken(tmp_path: Path) -> None:
    one = package(tmp_path / "one", 1.0)
    bad = half_copied(tmp_path / "bad")
    good = package(tmp_path / "good", 3.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)))

    with following.running() as active:
        following.source.answer(desired(bad, 2, one))
        following.wait_for(is_in(DeployerState.REJECTED, 2))
        following.source.answer(desired(good, 3, bad))
        status = following.wait_for(is_in(DeployerState.SERVING, 3))

        assert status.rejected is None
        assert answers(active.current) == 3.0


def test_a_rollback_cuts_short_the_trial_of_what_hangs(tmp_path: Path) -> None:
    def hangs_on_two(_path: Path, digest: str, *, gates: Gates, cancelled: Callable[[], bool]) -> object:
        if digest != two.digest:
            return True
        following.source.answer(desired(one, 3, two))
        while not cancelled():
            pass
        return None

    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)), hangs_on_two)

    with following.running() as active:
        following.source.answer(desired(two, 2, one))
        status = following.wait_for(is_in(DeployerState.SERVING, 3))

        assert status.rejected is None
        assert (answers(active.current), active.current.generation) == (1.0, 3)


def test_what_served_before_is_asked_for_no_latency(tmp_path: Path) -> None:
    asked: list[tuple[str, Gates]] = []

    def asks(_path: Path, digest: str, *, gates: Gates, **_rest: Any) -> object:
        asked.append((digest, gates))
        return True

    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)), asks)

    with following.running():
        following.source.answer(desired(two, 2, one))
        following.wait_for(is_in(DeployerState.SERVING, 2))
        following.source.answer(desired(one, 3, two))
        following.wait_for(is_in(DeployerState.SERVING, 3))

    assert asked == [(one.digest, Gates.ALL), (two.digest, Gates.ALL), (one.digest, Gates.WITHOUT_LATENCY)]

    restarted = Following(ScriptedSource(tmp_path, desired(two, 4, one)), asks, following.cache)
    restarted.deployer.start()

    assert asked[3:] == [(two.digest, Gates.WITHOUT_LATENCY)]


def test_a_worker_that_starts_while_the_desired_one_is_bad_serves_the_one_before(tmp_path: Path) -> None:
    one, bad, two = (
        package(tmp_path / "one", 1.0),
        half_copied(tmp_path / "bad"),
        package(tmp_path / "two", 2.0),
    )
    following = Following(ScriptedSource(tmp_path, desired(bad, 7, one)))

    with following.running() as active:
        status = following.deployer.status

        assert status.state is DeployerState.REJECTED
        assert status.rejected is not None
        assert (status.rejected.package, status.rejected.reason_code) == (bad, "missing_file")
        assert (answers(active.current), active.current.generation) == (1.0, 0)

        following.source.answer(desired(two, 8, bad))
        following.wait_for(is_in(DeployerState.SERVING, 8))

        assert answers(active.current) == 2.0


@pytest.mark.parametrize("with_previous", ["with a bad one before", "without"])
def test_a_worker_that_has_nothing_to_serve_says_why(tmp_path: Path, with_previous: str) -> None:
    bad = half_copied(tmp_path / "bad")
    before = not_a_package(tmp_path / "before") if with_previous != "without" else None
    following = Following(ScriptedSource(tmp_path, desired(bad, 7, before)))

    with pytest.raises(Refused, match=r"line 1: model.joblib is missing") as refused:
        following.deployer.start()

    assert refused.value.code == "missing_file"
    assert ("nor can line 2 serve, which was before" in refused.value.reason) == (before is not None)


def test_a_start_waits_for_the_store_and_not_for_ever(tmp_path: Path) -> None:
    one = package(tmp_path / "one", 1.0)

    assert answers(Following(ScriptedSource(tmp_path, GONE, desired(one, 1))).deployer.start()) == 1.0

    for source, code in ((ScriptedSource(tmp_path, GONE), "gone"), (ScriptedSource(tmp_path), "empty")):
        with pytest.raises(Refused) as refused:
            Following(source, tick_s=1.0).deployer.start()

        assert refused.value.code == code


def test_a_store_that_goes_away_stops_nothing_and_says_so(tmp_path: Path) -> None:
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)))

    with following.running() as active:
        following.source.answer(GONE)
        status = following.wait_for(is_in(DeployerState.WAITING, 1))

        assert status.problem == GONE
        assert answers(active.current) == 1.0

        following.source.answer(desired(one, 1))
        assert following.wait_for(is_in(DeployerState.SERVING, 1)).problem is None

        following.source.gone = GONE  # it answers, and goes away before the package is read
        following.source.answer(desired(two, 2, one))
        status = following.wait_for(is_in(DeployerState.WAITING, 2))

        assert (status.problem, status.rejected) == (GONE, None)

        following.source.gone = None
        following.wait_for(is_in(DeployerState.SERVING, 2))

        assert answers(active.current) == 2.0


def test_a_store_that_goes_away_while_it_is_read_refuses_nothing(tmp_path: Path) -> None:
    class Leaving(ScriptedSource):
        def fetch(self, package: PackageRef) -> Path | StoreProblem:
            found, self.gone = super().fetch(package), GONE
            return found

    trial = Trial(half_copied(tmp_path / "bad"), 1, Gates.ALL, cancelled=bool, stopping=bool)
    found = Following(Leaving(tmp_path)).deployer._loader(trial)

    assert found == GONE


def test_a_store_that_goes_away_during_a_trial_is_still_away_after_it(tmp_path: Path) -> None:
    def while_it_leaves(_path: Path, digest: str, *, gates: Gates, cancelled: Callable[[], bool]) -> object:
        if digest == two.digest:
            following.source.answer(GONE)
        return not cancelled()

    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)), while_it_leaves)

    with following.running() as active:
        following.source.answer(desired(two, 2, one))
        served_two = following.wait_for(lambda status: bool(status.served and status.served.package == two))

        assert (served_two.state, served_two.problem) == (DeployerState.WAITING, GONE)
        assert answers(active.current) == 2.0


def test_an_older_generation_is_not_followed(tmp_path: Path) -> None:
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 5)))

    with following.running() as active:
        following.source.answer(desired(two, 4))
        status = following.wait_for(is_in(DeployerState.WAITING, 4))

        assert status.problem is not None
        assert status.problem.code == "stale"
        assert answers(active.current) == 1.0


def test_the_status_names_the_newest_generation_that_was_tried(tmp_path: Path) -> None:
    one, bad = package(tmp_path / "one", 1.0), half_copied(tmp_path / "bad")
    following = Following(ScriptedSource(tmp_path, desired(one, 5)))

    with following.running():
        following.source.answer(desired(bad, 900))
        refused = following.wait_for(is_in(DeployerState.REJECTED, 900))
        following.source.answer(desired(one, 6))
        stale = following.wait_for(is_in(DeployerState.WAITING, 6))

    assert (refused.newest_generation, stale.newest_generation) == (900, 900)


def test_what_serves_already_is_only_relabelled(tmp_path: Path) -> None:
    one = package(tmp_path / "one", 1.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)))

    with following.running() as active:
        model = active.current.model
        following.now_s = 9.0
        following.source.answer(desired(one, 2))
        status = following.wait_for(is_in(DeployerState.SERVING, 2))

        assert active.current == ServingModel(model, 2)
        assert active.current.model is model
        assert status.served is not None
        assert status.served.since_ms == 0


@pytest.mark.parametrize(
    ("raised", "state", "code"),
    [
        (OSError("no more processes"), DeployerState.WAITING, "busy"),
        (MemoryError(), DeployerState.WAITING, "busy"),
        (ValueError("nobody thought of it"), DeployerState.REJECTED, "internal"),
        (KeyboardInterrupt(), DeployerState.WAITING, "internal"),
    ],
)
def test_no_error_stops_it(tmp_path: Path, raised: BaseException, state: DeployerState, code: str) -> None:
    def raises_once(_path: Path, digest: str, **_rest: Any) -> object:
        if digest == two.digest and raising:
            raise raising.pop()
        return True

    raising = [raised]
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)), raises_once)

    with following.running() as active:
        following.source.answer(desired(two, 2, one))
        status = following.wait_for(is_in(state, 2))
        following.source.answer(desired(two, 3, one))
        following.wait_for(is_in(DeployerState.SERVING, 3))

        codes = [status.problem and status.problem.code, status.rejected and status.rejected.reason_code]
        assert code in codes
        assert answers(active.current) == 2.0


def test_nothing_starts_by_itself(tmp_path: Path) -> None:
    one = package(tmp_path / "one", 1.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)))

    assert following.deployer.status == DeployerStatus()
    assert following.reports.empty()


def test_it_ends_while_a_package_is_tried(tmp_path: Path) -> None:
    def until_cancelled(_path: Path, digest: str, *, gates: Gates, cancelled: Callable[[], bool]) -> object:
        trying.append(digest)
        while digest == two.digest and not cancelled():
            pass
        return True if digest == one.digest else None

    trying: list[str] = []
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    following = Following(ScriptedSource(tmp_path, desired(one, 1)), until_cancelled)

    with following.running() as active:
        following.source.answer(desired(two, 2, one))
        following.wait_for(is_in(DeployerState.DEPLOYING, 2))

    assert answers(active.current) == 1.0
    assert following.deployer.status.rejected is None
