"""A process that forks the children of rehearsals: they begin with everything imported.

It is forked off the worker itself, before there are threads or clients in it, and shares its memory: idle, it
costs next to nothing. A rehearsal takes a fifth of the processor time that way, while others wait for
predictions. Linux only; elsewhere, or when it has ended, children are started anew (`rehearsal.run_spawned`).

It is told over a socket, one message for each rehearsal, and answers with one. Any message meanwhile, and the
end of the worker, cancels.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from stream_infer.rollout.rehearsal import (
    NICE,
    OWN_VARIABLES,
    ChildExit,
    RehearsalTask,
    RunChild,
    late,
    run_spawned,
)
from stream_infer.rollout.rehearsal_cache import RehearsalLimits
from stream_infer.rollout.rehearsal_child import rehearse_here

_CANCEL = b"cancel"
_LOOK_EVERY_S = 0.1
_ANSWERS_WITHIN_S = 5.0
_LEAVES_WITHIN_S = 1.0
_MESSAGE_BYTES = 2**16
_REPORT_BYTES = 2**13  # more than any report, and still one message with every byte escaped


@contextmanager
def forkserver() -> Iterator[RunChild]:
    """Hold the process while the block runs. Enter it before this one has a thread, or it is not started."""
    if sys.platform != "linux" or threading.active_count() > 1:
        yield run_spawned
        return
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        here.close()
        _serve(there)
    there.close()
    server = _Server(pid, here)
    try:
        yield server
    finally:
        server.end()


class _Server:
    """The worker's side: a `RunChild`. One rehearsal at a time."""

    def __init__(self, pid: int, line: socket.socket) -> None:
        self._pid = pid
        self._line: socket.socket | None = line

    def __call__(self, task: RehearsalTask, cancelled: Callable[[], bool]) -> ChildExit | None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                return self._ask(self._line, task, cancelled)
            self.end()
        return run_spawned(task, cancelled)

    def end(self) -> None:
        """End the process, if it has not, and before it the child that it may have."""
        line, self._line = self._line, None
        if line is None:
            return
        with line, contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_WR)
            line.settimeout(_LEAVES_WITHIN_S)
            while line.recv(_MESSAGE_BYTES):
                pass
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _ask(
        self, line: socket.socket, task: RehearsalTask, cancelled: Callable[[], bool]
    ) -> ChildExit | None:
        line.send(json.dumps([str(task.path), task.digest, asdict(task.limits)]).encode())
        deadline = time.monotonic() + task.limits.timeout_s + _ANSWERS_WITHIN_S
        wanted = True
        while not select.select([line], [], [], _LOOK_EVERY_S)[0]:
            if wanted and cancelled():
                wanted = False
                line.send(_CANCEL)
            if time.monotonic() > deadline:
                raise TimeoutError("the process that forks rehearsals does not answer")
        answer = line.recv(_MESSAGE_BYTES)
        if not answer:
            raise ConnectionError("the process that forks rehearsals has ended")
        if not wanted:
            return None
        said, returncode = json.loads(answer)
        if said is None:
            raise late(task.limits.timeout_s)
        return ChildExit(said.encode(), returncode)


def _serve(line: socket.socket) -> NoReturn:
    """Fork a child for each message until the worker ends. Runs in the forked process, and never returns."""
    try:
        gc.freeze()  # else the first search for cycles writes to every page that it shares with the worker
        # A group, so that Ctrl-C is the worker's alone, and no session: see `rehearsal.run_spawned`.
        os.setpgid(0, 0)
        os.nice(NICE)
        for name in [name for name in os.environ if name.startswith(OWN_VARIABLES)]:
            del os.environ[name]
        while message := line.recv(_MESSAGE_BYTES):
            if message != _CANCEL:  # one that came too late
                _carry_out(line, message)
    except BaseException:  # noqa: BLE001 - whatever it is, nothing of the worker may run in this process
        os._exit(1)
    os._exit(0)


def _carry_out(line: socket.socket, message: bytes) -> None:
    path, digest, given = json.loads(message)
    limits = RehearsalLimits(**given)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        line.close()
        os.setpgid(0, 0)
        _silence()
        rehearse_here(Path(path), digest, limits, writing)
    os.close(writing)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(child, child)  # by whichever of the two comes first
    said = _read(reading, line, limits.timeout_s)
    os.close(reading)
    # Whatever it has started goes with it. Until it is reaped, its number is nobody else's.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    text = None if said is None else said.decode("utf-8", "replace")
    line.send(json.dumps([text, os.waitstatus_to_exitcode(status)]).encode())


def _silence() -> None:
    """Let nothing that a package prints be taken for words of the worker."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)


def _read(reading: int, line: socket.socket, timeout_s: float) -> bytes | None:
    """Return all that the child writes until it ends; None when it is late, or not wanted any more."""
    deadline = time.monotonic() + timeout_s
    said = b""
    while (left_s := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([reading, line.fileno()], [], [], left_s)
        if line.fileno() in ready:
            return None
        if reading in ready:
            part = os.read(reading, _MESSAGE_BYTES)
            if not part:
                return said
            said = (said + part)[:_REPORT_BYTES]
    return None
