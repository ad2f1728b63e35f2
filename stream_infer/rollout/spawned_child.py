"""Rehearse in a new Python process: slower to start than a fork, and possible on every platform."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from stream_infer.rollout.rehearsal_task import NICE, OWN_VARIABLES, ChildExit, RehearsalTask, timed_out

_MODULE = "stream_infer.rollout.rehearsal_child"
_POLL_S = 0.1
_PIPE_CLOSES_WITHIN_S = 1.0


def run_spawned(task: RehearsalTask, cancelled: Callable[[], bool]) -> ChildExit | None:
    """Carry out `task` in a new Python process. A `RunChild`."""
    task_arguments = str(task.path), task.digest, json.dumps(asdict(task.limits))
    child = subprocess.Popen(  # noqa: S603 - this very Python, with a module of ours
        [sys.executable, "-P", "-m", _MODULE, *task_arguments, str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
        process_group=0,  # no session of its own: Linux shares time out by session before niceness counts
    )
    _yield_to_scoring(child.pid)
    try:
        output = _wait(child, task.limits.timeout_s, cancelled)
    finally:
        _end(child)
    return None if output is None else ChildExit(output, child.returncode)


def child_environment() -> dict[str, str]:
    """Return the child's environment: the same libraries from the same places, and no secrets of ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    return {**inherited, "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}


def _yield_to_scoring(pid: int) -> None:
    """Lower the priority of the child. Waiting for a processor does not count in its measurements."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # it has ended, or this user may not
            os.setpriority(os.PRIO_PROCESS, pid, NICE)


def _wait(child: subprocess.Popen[bytes], timeout_s: float, cancelled: Callable[[], bool]) -> bytes | None:
    """Return the output of the child when it has ended; None when the rehearsal was cancelled."""
    deadline = time.monotonic() + timeout_s
    while not cancelled():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise timed_out(timeout_s)
        try:
            return child.communicate(timeout=min(_POLL_S, left_s))[0]
        except subprocess.TimeoutExpired:
            continue
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and its process group, and reap it; close its pipe, which another process may hold."""
    if child.returncode is not None:  # reaped: its number may be another's by now
        return
    if sys.platform == "win32":
        child.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS, when all of them are dead
            os.killpg(child.pid, signal.SIGKILL)
    try:
        child.communicate(timeout=_PIPE_CLOSES_WITHIN_S)
    except subprocess.TimeoutExpired:
        if child.stdout is not None:
            child.stdout.close()
        child.wait()
