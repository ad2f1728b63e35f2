"""`offsets reset` on a real group: refused while it has members, told before it is done, and then done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from stream_infer.flow.errors import Fatal, Misconfigured
from tests.support.events import Framing, generate, send
from tests.support.models import said
from tests.support.pipeline import Pipeline
from tests.support.worker_process import Group, Worker, until

COUNT, PARTITIONS = 400, 4
MakePipeline = Callable[[Framing], Pipeline]
StartWorker = Callable[[Path], Worker]


class Move(NamedTuple):
    """What the command prints about a partition."""

    committed: int | None
    target: int
    again: int = 0
    skipped: int = 0


def reset(config: Path, to: str, *options: str) -> dict[int, Move]:
    """Return the moves that the command prints, by partition."""
    ended = said("offsets", "reset", "-c", config, "--to", to, "--json", *options)
    assert ended.exit_code == 0
    assert ended.document["applied"] == ("--yes" in options)
    return {
        move["partition"]: Move(move["committed"], move["target"], move["again"], move["skipped"])
        for move in ended.document["partitions"]
    }


def test_a_stopped_pipeline_answers_again_from_the_offsets_that_were_set(
    pipeline: MakePipeline, start_worker: StartWorker
) -> None:
    line = pipeline(Framing.NONE)
    group, config = Group(line), line.write_config("w")
    worker = start_worker(config)
    send(line.bootstrap, line.input, generate(COUNT, Framing.NONE, seed=5))
    until("the events are answered", lambda: group.committed() == COUNT, worker)
    each = COUNT // PARTITIONS

    with pytest.raises(Fatal, match=rf"{re.escape(line.group)} has members: w\. .*\(3 s\)"):
        said("offsets", "reset", "-c", config, "--to", "earliest", "--yes")
    assert worker.terminate() == 0
    planned = reset(config, "earliest", "--wait")
    stayed = reset(config, "latest")
    done = reset(config, f"{line.input}/0/{each - 10},{line.input}/2/0", "--yes")

    assert planned == {p: Move(each, 0, again=each) for p in range(PARTITIONS)}
    assert stayed == {p: Move(each, each) for p in range(PARTITIONS)}
    assert done == {0: Move(each, each - 10, again=10), 2: Move(each, 0, again=each)}

    once = line.answered()
    again = start_worker(config)
    until("they are answered again", lambda: group.committed() == COUNT, again)
    twice = Counter(line.answered())
    twice.subtract(once)
    assert +twice == Counter(
        (partition, offset)
        for partition, offset in once
        if partition == 2 or (partition == 0 and offset >= each - 10)
    )


def test_a_group_that_has_not_begun_can_skip_and_begin_at_a_time(
    pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    line = pipeline(Framing.NONE)
    config = line.write_config("w")
    send(line.bootstrap, line.input, generate(COUNT, Framing.NONE, seed=5))
    each = COUNT // PARTITIONS
    skipping = Move(None, each, skipped=each)

    assert reset(config, "0s") == dict.fromkeys(range(PARTITIONS), skipping)
    assert reset(config, "1h") == dict.fromkeys(range(PARTITIONS), Move(None, 0))
    shown = said("offsets", "reset", "-c", config, "--to", "latest")
    assert f"up to {each} events are skipped" in shown.out
    assert "nothing is changed" in shown.out
    assert reset(config, "latest", "--yes")[3] == skipping
    assert reset(config, "latest")[3] == Move(each, each)


def test_offsets_that_the_log_does_not_hold_are_refused(pipeline: MakePipeline) -> None:
    line = pipeline(Framing.NONE)
    config = line.write_config("w")

    with pytest.raises(Misconfigured) as failed:
        said("offsets", "reset", "-c", config, "--to", f"{line.input}/0/1,{line.input}/9/0", "--yes")

    assert [problem.message for problem in failed.value.problems] == [
        "the log holds 0 to 0",
        "the input has no such partition",
    ]
