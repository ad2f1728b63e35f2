"""A process that forks the children of rehearsals: they begin with everything imported.

It is forked off the worker itself, before the worker has threads or clients, and shares its memory: idle, it
costs next to nothing. A forked rehearsal takes a fifth of the processor time of a new process, time that
scoring needs. Linux only; elsewhere, or when it has ended, `spawned_child.run_spawned` takes its place. A
package during whose rehearsal it ends is refused: in a child of the worker it might end the worker.

The worker sends one message over a socket for each rehearsal and gets one answer. Another message meanwhile,
and the end of the worker, cancels.
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

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.rollout.child_limits import end_with
from stream_infer.rollout.rehearsal_child import rehearse_here
from stream_infer.rollout.rehearsal_task import (
    NICE,
    OWN_VARIABLES,
    ChildExit,
    RehearsalLimits,
    RehearsalTask,
    RunChild,
    timed_out,
)
from stream_infer.rollout.spawned_child import run_spawned

_CANCEL = b"cancel"
_POLL_S = 0.1
_ANSWERS_WITHIN_S = 5.0
_ENDS_WITHIN_S = 1.0
_MESSAGE_BYTES = 2**16
_REPORT_BYTES = 2**13  # more than any report, and still one message with every byte escaped


@contextmanager
def forkserver() -> Iterator[RunChild]:
    """Hold the fork server while the block runs; where it cannot be had, `run_spawned`.

    Must be entered before this process has a second thread: a fork with threads may hang.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        yield run_spawned
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _serve(theirs)
    theirs.close()
    server = _ForkServer(pid, ours)
    try:
        yield server
    finally:
        server.end()


class _ForkServer:
    """The worker's side: a `RunChild`. One rehearsal at a time."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self._pid = pid
        self._channel: socket.socket | None = channel

    def __call__(self, task: RehearsalTask, cancelled: Callable[[], bool]) -> ChildExit | None:
        channel = self._channel
        if channel is None or not self._send(channel, task):
            return run_spawned(task, cancelled)
        try:
            return self._answer(channel, task.limits, cancelled)
        except OSError as error:
            self.end()
            reason = f"{error} during the rehearsal: the package killed it, or the system for lack of memory"
            raise Refused(RefusalCode.CRASH, reason) from error

    def end(self) -> None:
        """End the process, if it has not ended, after the child that it may have."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        with channel, contextlib.suppress(OSError):
            channel.shutdown(socket.SHUT_WR)
            channel.settimeout(_ENDS_WITHIN_S)
            while channel.recv(_MESSAGE_BYTES):
                pass
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _send(self, channel: socket.socket, task: RehearsalTask) -> bool:
        """Send `task`; return whether there is still a process that takes it."""
        try:
            channel.send(json.dumps([str(task.path), task.digest, asdict(task.limits)]).encode())
        except OSError:
            self.end()
            return False
        return True

    def _answer(
        self, channel: socket.socket, limits: RehearsalLimits, cancelled: Callable[[], bool]
    ) -> ChildExit | None:
        """Return the answer to the task that was sent; raise `OSError` when none comes."""
        deadline = time.monotonic() + limits.timeout_s + _ANSWERS_WITHIN_S
        cancelling = False
        while not select.select([channel], [], [], _POLL_S)[0]:
            if not cancelling and cancelled():
                cancelling = True
                channel.send(_CANCEL)
            if time.monotonic() > deadline:
                raise TimeoutError("the fork server did not answer")
        answer = channel.recv(_MESSAGE_BYTES)
        if not answer:
            raise ConnectionError("the fork server ended")
        if cancelling:
            return None
        output, returncode = json.loads(answer)
        if output is None:
            raise timed_out(limits.timeout_s)
        return ChildExit(output.encode(), returncode)


def _serve(channel: socket.socket) -> NoReturn:
    """Fork a child for each message until the worker ends. Runs in the forked process."""
    try:
        gc.freeze()  # else the first search for cycles writes to every page that it shares with the worker
        # A group, so that Ctrl-C is the worker's alone, and no session: see `spawned_child.run_spawned`.
        os.setpgid(0, 0)
        os.nice(NICE)
        for name in [name for name in os.environ if name.startswith(OWN_VARIABLES)]:
            del os.environ[name]
        while message := channel.recv(_MESSAGE_BYTES):
            if message != _CANCEL:  # one that came too late
                _carry_out(channel, message)
    except BaseException:  # noqa: BLE001 - nothing of the worker may run in this process, after any error
        os._exit(1)
    os._exit(0)


def _carry_out(channel: socket.socket, message: bytes) -> None:
    path, digest, limits_of_message = json.loads(message)
    limits = RehearsalLimits(**limits_of_message)
    reading, writing = os.pipe()
    server = os.getpid()
    child = os.fork()
    if child == 0:
        end_with(server)
        channel.close()
        os.setpgid(0, 0)
        _silence()
        rehearse_here(Path(path), digest, limits, writing)
    os.close(writing)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(child, child)  # here and in the child, for either may come first
    output = _read(reading, channel, limits.timeout_s)
    os.close(reading)
    # Processes that it started end with it. Until it is reaped, no other process gets its number.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    text = None if output is None else output.decode("utf-8", "replace")
    channel.send(json.dumps([text, os.waitstatus_to_exitcode(status)]).encode())


def _silence() -> None:
    """Discard what the package prints: it must not look like output of the worker."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)


def _read(reading: int, channel: socket.socket, timeout_s: float) -> bytes | None:
    """Return the output of the child until it ends; None at the timeout or when it was cancelled."""
    deadline = time.monotonic() + timeout_s
    output = b""
    while (left_s := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([reading, channel.fileno()], [], [], left_s)
        if channel.fileno() in ready:
            return None
        if reading in ready:
            part = os.read(reading, _MESSAGE_BYTES)
            if not part:
                return output
            output = (output + part)[:_REPORT_BYTES]
    return None
