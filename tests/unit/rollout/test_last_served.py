"""What served last is found by the next process; a start without a usable answer serves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.last_served import LastServed, last_served_in_store
from stream_infer.rollout.status import DeployerState
from tests.support.special_files import needs_pipes, put_pipe
from tests.unit.rollout.following import Following, ScriptedSource, desired
from tests.unit.rollout.packages import package

NOWHERE = PackageRef("line", "9", "sha256:" + "9" * 64, "nowhere")
INVALID = StoreProblem(RefusalCode.INVALID, "the control topic holds no deployment: junk")
EMPTY = StoreProblem(RefusalCode.EMPTY, "the desired deployment was taken away")
GONE = StoreProblem(RefusalCode.GONE, "the control topic cannot be read")


def test_the_next_process_of_the_pipeline_finds_it(tmp_path: Path) -> None:
    last_served_in_store(tmp_path, "a.b").keep(desired(NOWHERE, 3))

    assert last_served_in_store(tmp_path, "a.b").find() == desired(NOWHERE, 3)
    assert last_served_in_store(tmp_path, "a.c").find() is None


@needs_pipes
def test_a_file_that_cannot_be_read_or_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file in the way")
    unwritable = LastServed(tmp_path / "folder" / "last")
    unwritable.keep(desired(NOWHERE, 3))
    put_pipe(tmp_path / "pipe")
    (tmp_path / "half").write_text("{")

    assert unwritable.find() == desired(NOWHERE, 3)
    for name in ("folder/last", "pipe", "half", "missing"):
        assert LastServed(tmp_path / name).find() is None


@pytest.mark.parametrize(
    ("answers", "code"),
    [([INVALID], "invalid"), ([EMPTY], "empty"), ([], None)],
    ids=["no deployment", "taken away", "nothing"],
)
def test_a_start_with_an_answer_that_is_of_no_use_serves_what_served_last_at_once(
    tmp_path: Path, answers: Sequence[StoreProblem], code: str | None
) -> None:
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    last = LastServed()
    last.keep(desired(one, 7))
    following = Following(ScriptedSource(tmp_path, *answers), last_served=last)

    with following.running() as active:
        status = following.deployer.status

        assert active.current.generation == 7
        assert (status.served and status.served.package, status.state) == (one, DeployerState.WAITING)
        assert (status.problem and status.problem.code) == code

        following.source.answer(desired(two, 8, one))
        following.wait_for(lambda now: now.served is not None and now.served.generation == 8)

        assert last.find() == desired(two, 8, one)


def test_a_source_that_does_not_answer_is_waited_for_first(tmp_path: Path) -> None:
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    last = LastServed()
    last.keep(desired(one, 7))

    found = Following(ScriptedSource(tmp_path, GONE, desired(two, 8)), last_served=last).deployer.start()
    late = Following(ScriptedSource(tmp_path, GONE), last_served=LastServed(), tick_s=1.0)
    late.last_served.keep(desired(one, 7))

    assert (found.generation, late.deployer.start().generation) == (8, 7)


def test_an_impossible_deployment_leaves_what_served_last(tmp_path: Path) -> None:
    one, two = package(tmp_path / "one", 1.0), package(tmp_path / "two", 2.0)
    last = LastServed()
    last.keep(desired(one, 7))
    following = Following(ScriptedSource(tmp_path, desired(NOWHERE, 8)), last_served=last)

    with following.running() as active:
        status = following.deployer.status

        assert (status.state, active.current.generation) == (DeployerState.REJECTED, 0)
        assert status.served is not None
        assert status.served.package == one
        assert last.find() == desired(one, 7)

        following.source.answer(desired(two, 9))
        following.wait_for(lambda now: now.served is not None and now.served.generation == 9)


@pytest.mark.parametrize("answer", [INVALID, desired(NOWHERE, 8)], ids=["no deployment", "impossible"])
def test_a_start_whose_last_package_is_gone_too_says_why_it_ends(
    tmp_path: Path, answer: Deployment | StoreProblem
) -> None:
    last = LastServed()
    last.keep(desired(replace(NOWHERE, uri="elsewhere"), 7))
    following = Following(ScriptedSource(tmp_path, answer), last_served=last, tick_s=1.0)

    with pytest.raises(Refused) as refused:
        following.deployer.start()

    assert refused.value.code == ("invalid" if answer == INVALID else "not_a_package")
