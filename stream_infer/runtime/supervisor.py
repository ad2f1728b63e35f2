"""Supervises worker processes on one machine: started fresh, never forked, restarted when they fail.

A fork would share a client's connections and locks with its copy, so each process is a program of its own.
Which programs, and under which names, is the caller's. The processes leave when the supervisor is killed
(`runtime.supervised`), so the next start finds ports and slots free.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.common.backoff import Backoff
from stream_infer.flow.errors import Misconfigured, Refused, SlotTaken
from stream_infer.runtime.stop import Stop
from stream_infer.runtime.supervised import SUPERVISED

FINAL = frozenset({Misconfigured.exit_code, Refused.exit_code, SlotTaken.exit_code})
"""Exit codes that the next start would only repeat, or worse: it would fence the one that fenced it."""

_TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class Program:
    """The program of one process: a name, the command line, the whole environment.

    Ending with a code in `final` ends the whole; after any other, and without any, it is started again. The
    process inherits the file `descriptors`.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    final: frozenset[int] = FINAL
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Restarts:
    """The pauses before restarts.

    A process that lived for `calm_s` has done its work: its next failure counts as the first.
    """

    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=0.5, most_s=30.0))
    calm_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ProcessStarted:
    """A process runs."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """A process ended with `code` (minus the signal's number); it restarts after `restart_s`, or never."""

    name: str
    code: int
    restart_s: float | None


ProcessEvent = ProcessStarted | ProcessEnded


def supervise(
    programs: Sequence[Program],
    *,
    stop: Stop,
    say: Callable[[ProcessEvent], object],
    restarts: Restarts | None = None,
    leave_within_s: float = 15.0,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Keep `programs` running until `stop` is requested; return the exit code for the whole.

    1. Start all. 2. Start again what fails, after a pause. 3. End all, with the signal that ended this
    process, when a stop is requested, or when one of them ends for a reason that a restart repeats: a pool
    that cannot be whole says so. 4. Kill what has not left within `leave_within_s`.

    The code is 0 after SIGTERM, 130 after SIGINT, that of the process that ended for good, and 1 when a
    process had to be killed.
    """
    seats = [_Seat(program, restarts or Restarts(), say, clock) for program in programs]
    final: int | None = None
    try:
        while final is None:
            final = next((code for code in map(_Seat.look, seats) if code is not None), None)
            if final is None and stop.wait(_TICK_S):
                break
    finally:
        killed = _end(seats, stop.signal or signal.SIGTERM, leave_within_s)
    if final is not None:
        return final
    if killed:
        return 1
    return stop.exit_code


class _Seat:
    """The place of one program: its process, or when the next one is due."""

    def __init__(
        self,
        program: Program,
        restarts: Restarts,
        say: Callable[[ProcessEvent], object],
        clock: Callable[[], float],
    ) -> None:
        self._program = program
        self._restarts = restarts
        self._say = say
        self._clock = clock
        self._due = clock()
        self._started = 0.0
        self._failures = 0
        self.process: subprocess.Popen[bytes] | None = None

    def look(self) -> int | None:
        """Start processes that are due, note those that ended; return the exit code of a final end."""
        now = self._clock()
        if self.process is None:
            if now >= self._due:
                self._start(now)
            return None
        code = self.process.poll()
        if code is None:
            return None
        _close_pipe(self.process)
        self.process = None
        return self._ended(code, now)

    def _start(self, now: float) -> None:
        command = list(self._program.command)
        environment = {**self._program.environment, SUPERVISED: "1"}
        self.process = subprocess.Popen(  # noqa: S603 - our own program
            command, env=environment, stdin=subprocess.PIPE, pass_fds=self._program.descriptors
        )
        self._started = now
        self._say(ProcessStarted(self._program.name, self.process.pid))

    def _ended(self, code: int, now: float) -> int | None:
        if code in self._program.final:
            self._say(ProcessEnded(self._program.name, code, None))
            return code
        self._failures = 1 if now - self._started >= self._restarts.calm_s else self._failures + 1
        pause_s = self._restarts.backoff.pause_s(self._failures)
        self._due = now + pause_s
        self._say(ProcessEnded(self._program.name, code, pause_s))
        return None


def _end(seats: Sequence[_Seat], signal_number: int, within_s: float) -> bool:
    """Ask every process to leave, kill those that do not; return whether there were any."""
    processes = [seat.process for seat in seats if seat.process is not None]
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal_number)
    deadline = time.monotonic() + within_s
    killed = False
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed = True
        _close_pipe(process)
    return killed


def _close_pipe(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
