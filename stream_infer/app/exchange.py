"""Sends events and reads their answers: what `send` does between two topics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stream_infer.app.answers import (
    Answer,
    AnswerReader,
    EventPrediction,
    EventRejection,
    read_dead_letter,
)
from stream_infer.config.settings import Settings
from stream_infer.kafka.event_producer import EventProducer
from stream_infer.kafka.topic_follower import FollowedRecord, TopicFollower
from stream_infer.runtime.stop import Stop

_READ_EVERY_ROWS = 1_000
_WAIT_S = 0.1
_STOPS_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class SendListener:
    """Where notes before the first event go, and every answer as it comes."""

    note: Callable[[str], None]
    answer: Callable[[Answer], None]


class Exchange:
    """Sends events and matches each answer to its event. `predicted` and `rejected` count the answers."""

    def __init__(
        self,
        settings: Settings,
        producer: EventProducer,
        follower: TopicFollower,
        listener: SendListener,
        stop: Stop,
    ) -> None:
        self._predictions = settings.output.topic
        self._reader = AnswerReader(settings.output.framing)
        self._producer, self._follower, self._listener, self._stop = producer, follower, listener, stop
        # Answers whose events the broker has not acknowledged to the producer yet, or events of others.
        self._early: dict[str, Answer] = {}
        self._answered: set[str] = set()
        self.predicted = 0
        self.rejected: Counter[str] = Counter()

    def send(self, events: Iterator[tuple[int, bytes, bytes | None]], rate: float | None) -> None:
        """Send `events` (number, value, key), `rate` a second, until they end or a stop is requested."""
        started = time.monotonic()
        for sent, (number, value, key) in enumerate(events):
            due_s = started + sent / rate if rate else 0.0
            while (left_s := due_s - time.monotonic()) > 0 and not self._stop.requested:
                self._read(min(left_s, _WAIT_S))
            if self._stop.requested:
                break
            self._producer.send(number, value, key)
            if sent % _READ_EVERY_ROWS == 0:
                self._read(0)
        self._flush()

    def wait(self, timeout_s: float) -> None:
        """Read answers until every event has one, none came for `timeout_s`, or a stop is requested."""
        self._read(0)
        deadline = time.monotonic() + timeout_s
        while len(self._answered) < len(self._producer.delivered) and not self._stop.requested:
            if time.monotonic() >= deadline:
                return
            if self._read(_WAIT_S):
                deadline = time.monotonic() + timeout_s

    def _flush(self) -> None:
        """Return when the broker has acknowledged every event; after a stop, wait a few seconds at most."""
        deadline: float | None = None
        while self._producer.pending and (deadline is None or time.monotonic() < deadline):
            self._read(_WAIT_S)
            if self._stop.requested and deadline is None:
                deadline = time.monotonic() + _STOPS_WITHIN_S

    def _read(self, wait_s: float) -> bool:
        """Read for up to `wait_s` seconds; return whether an event of ours got its answer."""
        records = self._follower.read(wait_s)
        self._producer.poll(0)
        for record in records:
            answer = self._answer(record)
            if answer is not None:
                self._early[answer.id] = answer
        ours = [self._early.pop(id_) for id_ in list(self._early) if id_ in self._producer.delivered]
        if not self._producer.pending:
            self._early.clear()
        for answer in ours:
            self._take(answer)
        return bool(ours)

    def _take(self, answer: Answer) -> None:
        if answer.id in self._answered:
            return
        self._answered.add(answer.id)
        if isinstance(answer, EventRejection):
            self.rejected[answer.error_class] += 1
        else:
            self.predicted += 1
        self._listener.answer(answer)

    def _answer(self, record: FollowedRecord) -> EventPrediction | EventRejection | None:
        try:
            if record.topic == self._predictions:
                return self._reader.prediction(record.value or b"")
            return read_dead_letter(record.headers)
        except ValueError:  # a record of somebody else
            return None
