"""Events that come one after the other while a test does something else."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import Producer

from tests.support.clients import SILENT
from tests.support.events import Event

_SENT_WITHIN_S = 120.0


class Trickle:
    """Sends `events` again and again, one each `pause_s`, round robin over `partitions`, on a thread."""

    def __init__(self, bootstrap: str, topic: str, events: Sequence[Event], partitions: int) -> None:
        self.sent = 0
        self._topic = topic
        self._events = events
        self._partitions = partitions
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "message.timeout.ms": 300_000},
            logger=SILENT,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, name="trickle")

    def _send(self) -> None:
        while not self._stop.wait(0.01):
            event = self._events[self.sent % len(self._events)]
            self._producer.produce(
                self._topic,
                event.value,
                event.key,
                partition=self.sent % self._partitions,
                headers=event.headers or None,
            )
            self._producer.poll(0)
            self.sent += 1

    def start(self) -> None:
        """Begin to send, 100 events a second at most."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; return when the broker has all."""
        self._stop.set()
        self._thread.join()
        assert self._producer.flush(_SENT_WITHIN_S) == 0


@contextmanager
def trickling(bootstrap: str, topic: str, events: Sequence[Event], partitions: int = 4) -> Iterator[Trickle]:
    """Send while the block runs, unless it stops the sending itself."""
    trickle = Trickle(bootstrap, topic, events, partitions)
    trickle.start()
    try:
        yield trickle
    finally:
        trickle.stop()
