"""The request to stop: a flag that signals set and the loop reads.

A signal does nothing but write its number to a socket, from which a thread of its own reads it. A handler in
Python would run on the main thread, between two of its steps: not before a call of the Kafka client returns,
which takes a minute when the broker is silent, and in the midst of `Event.wait()`, whose lock it would then
wait for itself, for ever. An exception out of one would lose the messages that a `consume()` had fetched.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from stream_infer.flow.codes import ExitCode

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Bound here: code of others that calls it must not end the process with 0 (see `exit_guard`).
_end_process = os._exit


class Stop:
    """A one-way flag with the reason it was set for. Not to be used in a signal handler."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal: int | None = None

    def request(self, signal_number: int | None = None) -> None:
        """Ask for the end. The first reason is kept."""
        if self.signal is None:
            self.signal = signal_number
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    @property
    def exit_code(self) -> int:
        """The exit code after a requested stop: 130 after SIGINT, else 0."""
        return ExitCode.INTERRUPTED if self.signal == signal.SIGINT else ExitCode.OK

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for a request, at most `timeout_s` seconds; return whether there is one."""
        return self._event.wait(timeout_s)


@contextmanager
def on_signals(stop: Stop) -> Iterator[None]:
    """Let SIGTERM and SIGINT request `stop` at once while the block runs. Main thread only."""
    heard, said = socket.socketpair()
    said.setblocking(False)
    listener = threading.Thread(target=_listen, args=(heard, stop), name="stop-signals", daemon=True)
    listener.start()
    fd_before = signal.set_wakeup_fd(said.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, _take_no_action) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        said.close()
        listener.join()
        heard.close()


def _listen(heard: socket.socket, stop: Stop) -> None:
    while numbers := heard.recv(1):
        if numbers[0] in _SIGNALS:
            stop.request(numbers[0])


def _take_no_action(_number: int, _frame: FrameType | None) -> None:
    """Handle a signal in Python, so that its number is written to the socket."""


@contextmanager
def leaving_within(stop: Stop, seconds: float) -> Iterator[threading.Event]:
    """End the process with exit code 1, stacks on stderr, if the block outlives a stop by `seconds`.

    A client that hangs in its `close()` (confluent-kafka-python #1667) must not hold up a deployment. Leaving
    hard is safe: what was not committed is read again. The block sets the event that it is given when it
    begins to hold anything; until then it only asks, a broker that may be silent, and a stop ends the process
    at once with `Stop.exit_code`.
    """
    begun, left = threading.Event(), threading.Event()

    def watch() -> None:
        stop.wait(None)
        if not begun.is_set() and not left.is_set():
            _end_process(stop.exit_code)
        if not left.wait(seconds):
            faulthandler.dump_traceback()
            _end_process(ExitCode.FAILURE)

    threading.Thread(target=watch, name="stop-watchdog", daemon=True).start()
    try:
        yield begun
    finally:
        left.set()
        stop.request()
