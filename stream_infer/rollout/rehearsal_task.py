"""The protocol between a worker and the child that rehearses a package: a task, limits, and a report.

`rehearsal` gives tasks, `spawned_child` and `forkserver` carry them to a child, `rehearsal_child` does them.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused

NICE = 10
"""The niceness of a child, so that scoring comes first."""

OWN_VARIABLES = "STREAM_INFER_"
"""The prefix of environment variables that no child inherits: the broker's password, for one."""


@dataclass(frozen=True, slots=True)
class RehearsalLimits:
    """The limits of a rehearsal, and of a package.

    `timeout_s` is wall clock for the whole rehearsal, some 3 s of imports included. `memory_bytes` is what
    the package may take on top of the libraries. `batch_p50_s` is the median time that `batch_records` events
    may take, from bytes to scores.
    """

    timeout_s: float = 60.0
    memory_bytes: int = 2 * 2**30
    batch_records: int = 1_000
    batch_p50_s: float = 1.0


@dataclass(frozen=True, slots=True)
class RehearsalTask:
    """The task of a child: rehearse the package at `path` under `limits`."""

    path: Path
    digest: str
    limits: RehearsalLimits


@dataclass(frozen=True, slots=True)
class RehearsalResult:
    """The measurements of a package that gives its golden answers. None: the platform cannot tell."""

    rows: int
    max_abs_difference: float
    batch_p50_s: float
    grown_bytes: int | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The refusal of a package, as a value."""

    code: RefusalCode
    reason: str


@dataclass(frozen=True, slots=True)
class RehearsalReport:
    """The report of a child: a result or a refusal."""

    measured: RehearsalResult | None = None
    refused: Refusal | None = None


@dataclass(frozen=True, slots=True)
class ChildExit:
    """The end of a child: its output, and its exit code, or minus the signal that killed it."""

    output: bytes
    returncode: int


RunChild = Callable[[RehearsalTask, Callable[[], bool]], ChildExit | None]
"""Carries out a task in a child that gives way to scoring; returns None when it was cancelled.

Raises `Refused(RefusalCode.TIMEOUT)`, and `OSError` when no child can be started.
"""

_REPORT = TypeAdapter(RehearsalReport)


def format_report(report: RehearsalReport) -> bytes:
    """Return the line of JSON that a child writes."""
    found = {key: value for key, value in asdict(report).items() if value is not None}
    return (json.dumps(found) + "\n").encode()


def read_report(ended: ChildExit, memory_bytes: int) -> RehearsalResult:
    """Return the measurements that a child with a limit of `memory_bytes` reported.

    Raises `Refused`: what the child reported, or `CRASH` when it ended without a report.
    """
    try:
        report = _REPORT.validate_json(ended.output)
    except ValidationError:
        report = RehearsalReport()
    if report.refused is not None:
        raise Refused(report.refused.code, report.refused.reason)
    if report.measured is None:
        how = ending_of(ended.returncode)
        raise Refused(
            RefusalCode.CRASH, f"the rehearsal process {how} and left no report; {_hint(memory_bytes)}"
        )
    return report.measured


def timed_out(timeout_s: float) -> Refused:
    """Return the refusal of a package whose rehearsal took too long."""
    return Refused(RefusalCode.TIMEOUT, f"the rehearsal took longer than {timeout_s:g} s")


def _hint(memory_bytes: int) -> str:
    """Return what else may have ended a process: libraries that get no memory often do not raise an error."""
    return f"a library may end it at the limit of {memory_bytes:,} bytes of memory (rehearsal_memory_bytes)"


def ending_of(returncode: int) -> str:
    """Return how a process with this exit code, or minus the signal that killed it, ended."""
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"
