"""The traffic of the demo: pages, some of them truncated, the answers to them, and labels for some.

It uses a plain Kafka client, as users of a worker do, and none of the worker's own clients.
"""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_infer.avro import topic_schemas
from stream_infer.common.clock import unix_ms
from stream_infer.demo.phishing import Pages, World
from stream_infer.demo.tally import Event, Tally
from stream_infer.kafka.client import SILENT
from stream_infer.steps.monitoring.event_record import parse_event

RATE = 3_000
BROKEN_EVERY = 100
LABELLED_EVERY = 5
LABEL_DELAY_S = 2.0

_BURST_S = 0.02
# A slow machine gets fewer pages: the mock broker keeps 5 MB per partition, read or not.
_MOST_UNANSWERED = 10_000
_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class DemoTopics:
    """The topics of the pipeline that its users know."""

    pages: str
    predictions: str
    dead_letters: str
    labels: str
    monitoring: str


class PageSender(threading.Thread):
    """Sends `RATE` pages per second of `world`, which may be replaced; one in a hundred is truncated."""

    def __init__(self, producer: Producer, topic: str, pages: Pages, tally: Tally) -> None:
        super().__init__(name="demo-sender", daemon=True)
        self._producer, self._topic, self._pages, self._tally = producer, topic, pages, tally
        self._ended = threading.Event()
        self.world = World.USUAL

    def run(self) -> None:
        """Send in small bursts, which keep the rate on a slow machine too."""
        before = time.monotonic()
        while not self._ended.wait(_BURST_S):
            now = time.monotonic()
            due, before = int((now - before) * RATE), now
            for _ in range(min(due, _MOST_UNANSWERED - self._tally.unanswered)):
                self._send()
            self._producer.poll(0)
        self._producer.flush(_WITHIN_S)

    def end(self) -> None:
        """Stop sending; return when the broker has every page."""
        self._ended.set()
        self.join()

    def _send(self) -> None:
        event = self._pages.next(self.world, unix_ms())
        self._tally.truth[event.key] = event.is_phishing
        self._tally.sent += 1
        truncated = self._tally.sent % BROKEN_EVERY == 0
        self._producer.produce(self._topic, event.value[:-3] if truncated else event.value, event.key)


class DemoReader:
    """Reads predictions, dead letters and monitoring events from their beginning, and updates the tally.

    For one prediction in `LABELLED_EVERY` it writes a label with the truth `LABEL_DELAY_S` later.
    """

    def __init__(self, producer: Producer, servers: str, topics: DemoTopics, tally: Tally) -> None:
        self._producer, self._topics, self._tally = producer, topics, tally
        self._prediction = dict(topic_schemas.topic_schema("Prediction").parsed)
        self._label = dict(topic_schemas.topic_schema("Label").parsed)
        self._due: deque[tuple[float, str, bool]] = deque()
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "demo-reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            },
            logger=SILENT,
        )
        known = (
            AdminClient({"bootstrap.servers": servers}, logger=SILENT).list_topics(timeout=_WITHIN_S).topics
        )
        read = topics.predictions, topics.dead_letters, topics.monitoring
        self._consumer.assign([TopicPartition(t, p, 0) for t in read for p in known[t].partitions])

    def read(self, wait_s: float) -> Sequence[Event]:
        """Take in the records of the next `wait_s` seconds, write labels that are due; return new events."""
        seen = len(self._tally.events)
        for message in self._consumer.consume(1000, wait_s):
            if message.error() is not None:
                continue
            topic, value = message.topic(), message.value() or b""
            if topic == self._topics.predictions:
                self._take_prediction((message.key() or b"").decode(), value)
            elif topic == self._topics.dead_letters:
                self._take_dead_letter(
                    (message.key() or b"").decode(), cast("dict[str, bytes]", dict(message.headers() or []))
                )
            elif (event := parse_event(value)) is not None:
                self._tally.take(event)
        self._write_labels(time.monotonic())
        return self._tally.events[seen:]

    def finish(self) -> None:
        """Return when the broker has every label that was due."""
        self._producer.flush(_WITHIN_S)

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def _take_prediction(self, key: str, value: bytes) -> None:
        tally = self._tally
        read = fastavro.schemaless_reader(io.BytesIO(value), self._prediction, None)
        prediction = cast("dict[str, Any]", read)
        truth = tally.truth.pop(key, None)
        if truth is None:
            tally.doubled += 1
            return
        version = tally.serving = prediction["model_version"]
        tally.predicted += 1
        tally.versions[version] += 1
        _, partition, offset = prediction["id"].rsplit("/", 2)
        tally.first.setdefault((version, int(partition)), int(offset))
        tally.last[version, int(partition)] = int(offset)
        if tally.predicted % LABELLED_EVERY == 0:
            self._due.append((time.monotonic() + LABEL_DELAY_S, prediction["id"], truth))

    def _take_dead_letter(self, key: str, headers: dict[str, bytes]) -> None:
        if self._tally.truth.pop(key, None) is None:
            self._tally.doubled += 1
        else:
            self._tally.dead_letters[headers["streaminfer.error.class"].decode()] += 1

    def _write_labels(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s:
            _, prediction_id, truth = self._due.popleft()
            buffer = io.BytesIO()
            label = {
                "prediction_id": prediction_id,
                "label": str(int(truth)),
                "labelled_at": unix_ms(),
            }
            fastavro.schemaless_writer(buffer, self._label, label)
            self._producer.produce(self._topics.labels, buffer.getvalue(), prediction_id)
            self._tally.labelled += 1
        self._producer.poll(0)
