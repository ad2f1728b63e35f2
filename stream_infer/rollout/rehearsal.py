"""Try a package in a process of its own before it gets near the one that serves.

A pickle that crashes, hangs or takes all memory does so to the child. What the child does is in
`rehearsal_child`, what confines it in `confine`.

A child is never forked from the worker: a fork of a process with a Kafka client and threads in it may hang or
worse. It is started anew (`run_spawned`), which costs 2 s of imports, or forked by a process that was itself
forked before there were threads (`forkserver`). Results are kept in `rehearsal_cache`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.rollout.reconcile import Gates
from stream_infer.rollout.rehearsal_cache import RehearsalCache, RehearsalLimits, RehearsalResult

_MODULE = "stream_infer.rollout.rehearsal_child"
_LOOK_EVERY_S = 0.1
NICE = 10
"""Of the child, so that scoring comes first."""

_PIPE_CLOSES_WITHIN_S = 1.0
OWN_VARIABLES = "STREAM_INFER_"
"""How environment variables begin that are not for the child.

The package has no business with what the worker was given: passwords of the broker, for one.
"""


@dataclass(frozen=True, slots=True)
class RehearsalTask:
    """What a child is to do: rehearse the package at `path` under `limits`."""

    path: Path
    digest: str
    limits: RehearsalLimits


@dataclass(frozen=True, slots=True)
class ChildExit:
    """How a child ended: what it said, and its exit code, or minus the signal that killed it."""

    said: bytes
    returncode: int


RunChild = Callable[[RehearsalTask, Callable[[], bool]], ChildExit | None]
"""Carries out a task in a child that gives way to scoring; returns None when it was cancelled.

Raises `Refused(RefusalCode.TIMEOUT)`, and `OSError` when no child can be started.
"""


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: RefusalCode
    reason: str


@dataclass(frozen=True, slots=True)
class _Report:
    """What the child says: one of the two."""

    measured: RehearsalResult | None = None
    refused: _Refusal | None = None


_REPORT = TypeAdapter(_Report)


def run_spawned(task: RehearsalTask, cancelled: Callable[[], bool]) -> ChildExit | None:
    """Carry out `task` in a new Python process."""
    child = subprocess.Popen(  # noqa: S603 - this very Python, with a module of ours
        [sys.executable, "-P", "-m", _MODULE, str(task.path), task.digest, json.dumps(asdict(task.limits))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
        process_group=0,  # no session of its own: Linux shares time out by session before niceness counts
    )
    _yield_to_scoring(child.pid)
    try:
        said = _wait(child, task.limits.timeout_s, cancelled)
    finally:
        _end(child)
    return None if said is None else ChildExit(said, child.returncode)


def rehearse(
    path: Path,
    digest: str,
    *,
    limits: RehearsalLimits,
    cancelled: Callable[[], bool],
    run: RunChild = run_spawned,
) -> RehearsalResult | None:
    """Verify, load, replay and measure the package at `path` in a child; None when `cancelled` says so.

    Blocks for at most `limits.timeout_s` and a second; `cancelled` is called every tenth of a second. Raises
    `Refused`: what `verify` and `load` raise, `golden`, `batch_of_one` (a row alone is answered otherwise
    than in a batch), `memory`, `network`, `timeout`, `crash`. Raises `OSError` when no child can be started.
    """
    ended = run(RehearsalTask(path, digest, limits), cancelled)
    return None if ended is None else _read(ended)


class Rehearsal:
    """Rehearses packages under `limits`, and does not measure again what `verdicts` knows to be good."""

    def __init__(self, limits: RehearsalLimits, cache: RehearsalCache, run: RunChild = run_spawned) -> None:
        self._limits = limits
        self._cache = cache
        self._run = run

    def __call__(
        self, path: Path, digest: str, *, gates: Gates, cancelled: Callable[[], bool]
    ) -> RehearsalResult | None:
        """Return what was measured of the package at `path`, or None when it was `cancelled`.

        Raises `Refused`: as `rehearse` does, and what `exceeded` returns.
        """
        known = self._cache.find(digest, self._limits)
        # What failed for being slow or large may have had a busy machine: it is measured anew.
        if known is not None and exceeded(known, self._limits, gates) is None:
            return known
        measured = rehearse(path, digest, limits=self._limits, cancelled=cancelled, run=self._run)
        if measured is None:
            return None
        self._cache.keep(digest, self._limits, measured)
        refused = exceeded(measured, self._limits, gates)
        if refused is not None:
            raise refused
        return measured


def exceeded(measured: RehearsalResult, limits: RehearsalLimits, gates: Gates) -> Refused | None:
    """Return the refusal (`MEMORY`, `LATENCY`) of a package that answers well and takes too much, or None."""
    grown = measured.grown_bytes
    if grown is not None and grown > limits.memory_bytes:
        return Refused(RefusalCode.MEMORY, f"it takes {grown:,} bytes, and may take {limits.memory_bytes:,}")
    if gates is Gates.ALL and measured.batch_p50_s > limits.batch_p50_s:
        took, may = measured.batch_p50_s, limits.batch_p50_s
        return Refused(
            RefusalCode.LATENCY, f"{limits.batch_records} events take {took:.3g} s, and may take {may:g} s"
        )
    return None


def late(timeout_s: float) -> Refused:
    """Return the refusal of a package whose rehearsal took too long."""
    return Refused(RefusalCode.TIMEOUT, f"the rehearsal was not over after {timeout_s:g} s")


def _yield_to_scoring(pid: int) -> None:
    """Let the child have what scoring leaves of the processors. What it measures does not count waiting."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # it has ended, or this user may not
            os.setpriority(os.PRIO_PROCESS, pid, NICE)


def _wait(child: subprocess.Popen[bytes], timeout_s: float, cancelled: Callable[[], bool]) -> bytes | None:
    """Return what the child said, when it has ended; None when it is not wanted any more."""
    deadline = time.monotonic() + timeout_s
    while not cancelled():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise late(timeout_s)
        try:
            return child.communicate(timeout=min(_LOOK_EVERY_S, left_s))[0]
        except subprocess.TimeoutExpired:
            continue
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and all that it started, and reap it. A stranger may hold its pipe: that is let go."""
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


def _read(ended: ChildExit) -> RehearsalResult:
    try:
        report = _REPORT.validate_json(ended.said)
    except ValidationError:
        report = _Report()
    if report.refused is not None:
        raise Refused(report.refused.code, report.refused.reason)
    if report.measured is None:
        raise Refused(
            RefusalCode.CRASH, f"the process that rehearsed it {_how(ended.returncode)} and said nothing"
        )
    return report.measured


def _how(returncode: int) -> str:
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


def _environment() -> dict[str, str]:
    """Return the child's environment: the same libraries from the same places, and no secrets of ours."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
    return {**inherited, "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}
