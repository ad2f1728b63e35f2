"""A process leaves when its supervisor has ended, through its ordinary stop where it can."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil
import pytest

from stream_infer.runtime.supervised import SUPERVISED

WITHIN_S = 30.0
FOLLOWS = """
import os, sys
from stream_infer.runtime.stop import Stop
from stream_infer.runtime.supervised import leaving_with_supervisor

stop = Stop()
orphaned = lambda: os.write(1, b"orphaned\\n")
with leaving_with_supervisor(stop, os.environ, orphaned, leave_within_s={leave_within_s}):
    print("ready", flush=True)
    {work}
os.write(1, b"left\\n")
"""
SUPERVISES = f"""
import os, sys
from stream_infer.runtime.stop import Stop
from stream_infer.runtime.supervisor import Program, supervise

script = {FOLLOWS.format(leave_within_s=20, work="stop.wait(60)")!r}
program = Program("a", [sys.executable, "-c", script], os.environ)
supervise([program, program], stop=Stop(), say=lambda one: print(one.pid, flush=True))
"""


@contextmanager
def process(script: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.parametrize(
    ("work", "leave_within_s", "said", "code"),
    [("stop.wait(60)", 20, "orphaned\nleft\n", 0), ("Stop().wait(60)", 0, "orphaned\n", 1)],
    ids=["in time", "too late"],
)
def test_a_process_leaves_when_its_supervisor_has_ended(
    work: str, leave_within_s: int, said: str, code: int
) -> None:
    script = FOLLOWS.format(work=work, leave_within_s=leave_within_s)
    with process(script, {SUPERVISED: "1"}) as started:
        assert started.stdout is not None
        assert started.stdin is not None
        assert started.stdout.readline() == "ready\n"

        started.stdin.close()

        # The stop may end the work before the line about it is written.
        assert sorted(started.stdout.read()) == sorted(said)
        assert started.wait(WITHIN_S) == code


def test_a_process_without_a_supervisor_does_not_look_at_its_standard_input() -> None:
    script = FOLLOWS.format(work="print(stop.wait(0.2), flush=True)", leave_within_s=20)
    with process(script, {}) as started:
        said, _ = started.communicate(timeout=WITHIN_S)

        assert said == "ready\nFalse\nleft\n"
        assert started.returncode == 0


def test_processes_leave_when_their_supervisor_is_killed() -> None:
    with process(SUPERVISES, {}) as supervisor:
        assert supervisor.stdout is not None
        said = [supervisor.stdout.readline() for _ in range(4)]
        children = psutil.Process(supervisor.pid).children()
        try:
            assert len(children) == 2
            assert "".join(said).count("ready") == 2  # of two processes at once: one line may be in the other

            supervisor.kill()

            _gone, left = psutil.wait_procs(children, timeout=WITHIN_S)
            assert left == []
            assert sorted(supervisor.stdout.read().split()) == ["left", "left", "orphaned", "orphaned"]
        finally:
            for child in children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
