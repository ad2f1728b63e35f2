"""The wish to stop: a flag that signals set and the loop reads. Handlers do nothing else.

An exception raised by a signal handler inside a Kafka `consume()` would lose the messages it had already
fetched, so no handler here raises.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """A one-way flag with the reason it was set for."""

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
        """Whether the end has been asked for."""
        return self._event.is_set()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until the end is asked for, at most `timeout_s` seconds; return whether it was."""
        return self._event.wait(timeout_s)


@contextmanager
def on_signals(stop: Stop) -> Iterator[None]:
    """Let SIGTERM and SIGINT request `stop` while the block runs. Main thread only."""

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.request(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def leaving_within(stop: Stop, seconds: float) -> Iterator[None]:
    """End the process with exit code 1, stacks on stderr, if the block outlives a stop by `seconds`.

    A client that hangs in its `close()` (confluent-kafka-python #1667) must not hold up a deployment. Leaving
    hard is safe: what was not committed is read again.
    """
    left = threading.Event()

    def watch() -> None:
        stop.wait(None)
        if not left.wait(seconds):
            faulthandler.dump_traceback()
            os._exit(1)

    threading.Thread(target=watch, name="stop-watchdog", daemon=True).start()
    try:
        yield
    finally:
        left.set()
        stop.request()
