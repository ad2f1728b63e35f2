"""The demo's user: produces pages, some of them broken, and reads what the worker answers.

Speaks to Kafka with a plain client, as a user of the worker would, and never through the worker's own code.
"""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_infer.avro import contract
from stream_infer.demo.phishing import Pages

_BROKEN_EVERY = 100
_WITHIN_S = 10.0


@dataclass(slots=True)
class Tally:
    """What the user has seen so far. One thread writes `sent` and `truth`, another the rest."""

    sent: int = 0
    predicted: int = 0
    correct: int = 0
    doubled: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    truth: dict[str, bool] = field(default_factory=dict)
    latest: str = ""

    @property
    def answered(self) -> int:
        """How many pages have a prediction or a dead letter."""
        return self.predicted + self.dead_letters.total()

    @property
    def accuracy(self) -> float | None:
        """The share of predictions that the truth confirms."""
        return self.correct / self.predicted if self.predicted else None


class Sender(threading.Thread):
    """Sends `rate` pages a second until `total` are sent (None: no end); one in a hundred is cut short."""

    def __init__(
        self,
        producer: Producer,
        topic: str,
        pages: Pages,
        tally: Tally,
        *,
        rate: float,
        total: int | None,
    ) -> None:
        super().__init__(name="demo-sender", daemon=True)
        self._producer, self._topic, self._pages, self._tally = producer, topic, pages, tally
        self._rate, self._total = rate, total
        self.ended = threading.Event()

    def run(self) -> None:
        """Send in small bursts, so that the rate holds on a slow machine too."""
        started = time.monotonic()
        while not self.ended.wait(0.02):
            due = int((time.monotonic() - started) * self._rate)
            if self._total is not None:
                due = min(due, self._total)
            while self._tally.sent < due:
                self._send()
            self._producer.poll(0)
            if self._total is not None and self._tally.sent >= self._total:
                break
        self._producer.flush(_WITHIN_S)

    def _send(self) -> None:
        event = self._pages.next(time.time_ns() // 1_000_000)
        self._tally.truth[event.key] = event.is_phishing
        self._tally.sent += 1
        broken = self._tally.sent % _BROKEN_EVERY == 0
        self._producer.produce(self._topic, event.value[:-3] if broken else event.value, event.key)


class Reader:
    """Reads predictions and dead letters from their beginning and keeps the tally."""

    def __init__(self, servers: str, predictions: str, dead_letters: str, tally: Tally) -> None:
        self._predictions = predictions
        self._tally = tally
        self._schema = dict(contract.schema("Prediction").parsed)
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "demo-reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        partitions = AdminClient({"bootstrap.servers": servers}).list_topics(timeout=_WITHIN_S).topics
        self._consumer.assign(
            [TopicPartition(t, p, 0) for t in (predictions, dead_letters) for p in partitions[t].partitions]
        )

    def read(self, wait_s: float) -> None:
        """Take in what has arrived within `wait_s` seconds."""
        for message in self._consumer.consume(1000, wait_s):
            if message.error() is not None:
                continue
            key = (message.key() or b"").decode()
            if message.topic() == self._predictions:
                self._take_prediction(key, message.value() or b"")
            else:
                headers = cast("dict[str, bytes]", dict(message.headers() or []))
                reason = headers["streaminfer.error.class"]
                self._tally.truth.pop(key, None)
                self._tally.dead_letters[str(reason, "utf-8")] += 1

    def _take_prediction(self, key: str, value: bytes) -> None:
        tally = self._tally
        read = fastavro.schemaless_reader(io.BytesIO(value), self._schema, None)
        prediction = cast("dict[str, Any]", read)
        truth = tally.truth.pop(key, None)
        if truth is None:
            tally.doubled += 1
            return
        tally.predicted += 1
        tally.correct += (prediction["label"] == "1") == truth
        tally.versions[prediction["model_version"]] += 1
        said = "phishing" if prediction["label"] == "1" else "honest"
        tally.latest = (
            f"{key}: {said} (score {prediction['score']:.3f}), in truth {'phishing' if truth else 'honest'}"
        )

    def close(self) -> None:
        """Let the client go."""
        self._consumer.close()
