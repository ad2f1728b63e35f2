"""A package that passes its rehearsal and then harms the worker that loads it is refused there, and told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_infer.flow.errors import Refused
from stream_infer.rollout.deployment import PackageRef
from stream_infer.rollout.guarded_load import GuardedLoad
from stream_infer.rollout.load_marks import LoadMarks
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.status import DeployerState, DeployerStatus
from tests.unit.rollout.following import Following, ScriptedSource, desired
from tests.unit.rollout.packages import ROWS, Calls, hangs, package, touches

GENERATION = 2


def rejected(status: DeployerStatus) -> bool:
    return status.state is DeployerState.REJECTED


def serves(generation: int) -> Callable[[DeployerStatus], bool]:
    return lambda status: (
        status.state is DeployerState.SERVING and status.served is not None
        and status.served.generation == generation
    )  # fmt: skip


def never_rehearsed(*_arguments: object, **_more: object) -> object:
    raise AssertionError("a package was rehearsed that had ended the worker")


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_a_load_raises_is_a_refusal(tmp_path: Path, raised: type[BaseException]) -> None:
    raises = Calls(eval, f"(_ for _ in ()).throw({raised.__name__}(0))")
    good, bad = package(tmp_path / "good", 1.0), package(tmp_path / "bad", 2.0, raises)
    marks = LoadMarks()
    following = Following(ScriptedSource(tmp_path, desired(good, 1)), load=GuardedLoad(marks))

    with following.running():
        following.source.answer(desired(bad, GENERATION, good))
        status = following.wait_for(rejected)

    assert status.rejected is not None
    assert status.rejected.reason_code == "load"
    assert raised.__name__ in status.rejected.reason
    assert marks.unfinished(GENERATION, bad.digest) == 0


def test_a_loaded_model_has_golden_rows_by_which_a_broken_one_is_known(tmp_path: Path) -> None:
    good = package(tmp_path / "good", 1.0)
    following = Following(ScriptedSource(tmp_path, desired(good, 1)))

    with following.running() as active:
        golden = active.current.model.golden

    assert [column.to_pylist() for column in golden.values()] == [list(ROWS)]


@pytest.mark.parametrize("code", [{}, {"code/own_steps.py": b""}])
def test_a_load_that_hangs_is_refused_and_the_next_package_is_followed(
    tmp_path: Path, code: dict[str, bytes]
) -> None:
    good, hanging = package(tmp_path / "good", 1.0), package(tmp_path / "hanging", 2.0, hangs(), more=code)
    third = package(tmp_path / "third", 3.0, more=code)
    marks = LoadMarks(tmp_path / "marks")
    source = ScriptedSource(tmp_path, desired(good, 1))
    following = Following(source, load=GuardedLoad(marks, within_s=2.0))

    with following.running() as active:
        source.answer(desired(hanging, GENERATION, good))
        status = following.wait_for(rejected)
        assert active.current.generation == 1
        source.answer(desired(third, 3, good))
        following.wait_for(serves(3))

    assert status.rejected is not None
    assert status.rejected.reason_code == "unfinished_load"
    assert status.rejected.reason == "its load in the worker took longer than 2 s"
    assert LoadMarks(tmp_path / "marks").unfinished(GENERATION, hanging.digest) == 0  # a later one is desired


def test_a_worker_that_stops_does_not_wait_for_a_load_and_blames_no_package(tmp_path: Path) -> None:
    loading = tmp_path / "loading"
    good = package(tmp_path / "good", 1.0)
    hanging = package(tmp_path / "hanging", 2.0, touches(loading, hangs()))
    marks = LoadMarks()
    following = Following(ScriptedSource(tmp_path, desired(good, 1)), load=GuardedLoad(marks, 3600.0))

    with following.running():
        following.source.answer(desired(hanging, GENERATION, good))
        wait_until(lambda: loading.exists() and loading.read_text() != "")
        assert marks.unfinished(GENERATION, hanging.digest) == 1

    assert marks.unfinished(GENERATION, hanging.digest) == 0


def starting(folder: Path, good: PackageRef, bad: PackageRef, **more: Any) -> Following:
    """Return a worker that starts while `bad` is desired whose load has ended earlier processes."""
    marks = LoadMarks(folder / "marks")
    return Following(ScriptedSource(folder, desired(bad, GENERATION, good)), load=GuardedLoad(marks), **more)


def test_a_start_that_finds_a_load_unfinished_serves_the_package_before_and_refuses_that_one(
    tmp_path: Path,
) -> None:
    good, bad = package(tmp_path / "good", 1.0), package(tmp_path / "bad", 2.0)
    LoadMarks(tmp_path / "marks").begin(GENERATION, bad.digest)

    def rehearse(_path: Path, digest: str, **_more: Any) -> object:
        return digest == good.digest or never_rehearsed()

    for _start in range(2):  # at each restart
        with starting(tmp_path, good, bad, rehearse=rehearse).running() as active:
            assert active.current.model.digest == good.digest
    following = starting(tmp_path, good, bad, rehearse=rehearse)
    with following.running():
        refused = following.wait_for(rejected).rejected
        assert refused is not None
        assert (refused.package, refused.reason_code) == (bad, "unfinished_load")
        assert "the worker ended while it loaded the package" in refused.reason

    again = Following(
        ScriptedSource(tmp_path, desired(bad, 3, good)), load=GuardedLoad(LoadMarks(tmp_path / "marks"))
    )
    with again.running() as active:  # promoted once more
        assert active.current.model.digest == bad.digest


def test_a_package_that_has_served_is_refused_only_after_three_loads_that_did_not_end(tmp_path: Path) -> None:
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    cache = RehearsalCache()
    cache.mark_served(two.digest)
    marks = LoadMarks(tmp_path / "marks")
    marks.begin(GENERATION, two.digest)
    marks.begin(GENERATION, two.digest)

    with starting(tmp_path, one, two, cache=cache).running() as active:  # killed by others, as it seems
        assert active.current.model.digest == two.digest
    for _ in range(3):
        marks.begin(GENERATION, two.digest)
    with starting(tmp_path, one, two, cache=cache).running() as active:
        assert active.current.model.digest == one.digest


def test_a_start_with_nothing_else_to_serve_is_refused_with_the_reason(tmp_path: Path) -> None:
    bad = package(tmp_path / "bad", 2.0)
    marks = LoadMarks()
    marks.begin(GENERATION, bad.digest)
    following = Following(ScriptedSource(tmp_path, desired(bad, GENERATION)), load=GuardedLoad(marks))

    with pytest.raises(Refused, match="the worker ended while it loaded") as refused:
        following.deployer.start()

    assert refused.value.code == "unfinished_load"
