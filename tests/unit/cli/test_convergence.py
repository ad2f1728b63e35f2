"""Waiting for workers: the state of each, how a wait ends, and what is printed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_infer.app.fleet import Convergence, RejectedPackage, RolloutState, WorkerStatus, convergence
from stream_infer.cli.convergence import (
    EXIT_CODES,
    Fleet,
    WaitResult,
    convergence_document,
    convergence_text,
    progress_lines,
    wait_result,
)
from stream_infer.rollout.deployment import Deployment, PackageRef

DIGEST = f"sha256:{'0' * 64}"
DESIRED = Deployment(
    pipeline="payments",
    generation=3,
    package=PackageRef("fraud", "2.0", DIGEST, "fraud-2.0"),
    requested_by="ada",
    requested_at=0,
)
OLD = WorkerStatus(
    instance="w-0",
    state="deploying",
    reason="it rehearses",
    generation=2,
    model_version="1.0",
    model_digest="another",
    rejected=None,
    partitions=(0, 1),
    worker_version="1",
    started_at=0,
    updated_at=0,
    member=True,
)
SERVING = replace(
    OLD, instance="w-1", state="serving", reason=None, generation=3, model_version="2.0", model_digest=DIGEST
)
REFUSING = replace(
    OLD, instance="w-2", state="rejected", rejected=RejectedPackage(3, DIGEST, "schema", "no field")
)
NEWER = replace(OLD, instance="w-3", newest_generation=4)
GONE = replace(OLD, instance="w-4", member=False)
STARTING = replace(GONE, instance="w-5", state="starting")

SERVE = "workers serve fraud 2.0, generation 3"
LATE = "is deploying (it rehearses), serves 1.0, last status at 1970-01-01 00:00:00+00:00"


def seen(*workers: WorkerStatus) -> Convergence:
    return convergence({worker.instance: worker for worker in workers}, DESIRED)


def test_each_worker_has_a_state() -> None:
    found = seen(STARTING, GONE, NEWER, REFUSING, SERVING, OLD)

    assert [(worker.instance, state) for worker, state in found.workers] == [
        ("w-0", RolloutState.AWAITED),
        ("w-1", RolloutState.SERVES),
        ("w-2", RolloutState.REJECTED),
        ("w-3", RolloutState.SUPERSEDED),
        ("w-4", RolloutState.AWAY),
        ("w-5", RolloutState.AWAITED),
    ]


@pytest.mark.parametrize(
    ("workers", "complete", "result", "exit_code", "text"),
    [
        ([], False, WaitResult.TIMEOUT, 1, "no worker has posted a status within 5 s"),
        ([SERVING], True, WaitResult.SERVING, 0, f"1 of 1 {SERVE}"),
        ([SERVING, GONE], True, WaitResult.SERVING, 0, f"1 of 2 {SERVE}"),
        ([SERVING, REFUSING], True, WaitResult.REJECTED, 3, f"1 of 2 {SERVE}; 1 refused it"),
        ([OLD, NEWER], True, WaitResult.SUPERSEDED, 1, f"0 of 2 {SERVE}; superseded by a newer deployment"),
        ([SERVING, OLD], False, WaitResult.TIMEOUT, 1, f"1 of 2 {SERVE}; not within 5 s: w-0 {LATE}"),
        ([GONE], False, WaitResult.TIMEOUT, 1, f"0 of 1 {SERVE}; not within 5 s: w-4 {LATE}"),
    ],
)
def test_a_wait_ends_with_a_result_an_exit_code_and_a_line(
    workers: list[WorkerStatus], *, complete: bool, result: WaitResult, exit_code: int, text: str
) -> None:
    ended = seen(*workers)

    assert ended.complete is complete
    assert wait_result(ended) is result
    assert EXIT_CODES[result] == exit_code
    assert convergence_text(ended, 5.0) == text
    assert convergence_document(ended)["outcome"] == str(result)


def test_a_worker_is_printed_once_when_its_state_is_final() -> None:
    before = seen(OLD, SERVING)
    now = seen(replace(OLD, generation=3, model_digest=DIGEST), SERVING, REFUSING, GONE, STARTING)

    assert list(progress_lines(before, now)) == [
        "w-0 serves fraud 2.0",
        "w-2 refused it (schema): no field; 1.0 keeps serving",
        "w-4 is not in the group, last status at 1970-01-01 00:00:00+00:00: not waited for",
    ]


@pytest.mark.parametrize(
    ("fleet", "shown"),
    [
        (Fleet(), ""),
        (Fleet(problem="no\x1b answer"), "workers: unknown: no\N{REPLACEMENT CHARACTER} answer\n\n"),
        (Fleet(workers=()), "workers: none has posted a status\n\n"),
    ],
)
def test_a_fleet_without_workers_is_a_line(
    capsys: pytest.CaptureFixture[str], fleet: Fleet, shown: str
) -> None:
    fleet.show()

    assert capsys.readouterr().out == shown


def test_a_fleet_is_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    Fleet(workers=(REFUSING, GONE)).show()

    out = capsys.readouterr().out
    assert "refused generation 3 (schema): no field; it rehearses" in out
    assert "not in the group" in out
