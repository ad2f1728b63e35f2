"""Topics of the benchmarks: made, filled, read back, removed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Self

import numpy as np
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from numpy.typing import NDArray

_ANSWER_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Written:
    """What a `read_committed` reader finds: the broker's time of each record (ms), ascending, and its id."""

    times_ms: NDArray[np.int64]
    keys: list[bytes | None]

    def __len__(self) -> int:
        return len(self.times_ms)


class Topics:
    """Topics with names never used before; all are removed when the block ends."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap})
        self._created: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove(*self._created)

    def create(self, name: str, partitions: int, *, broker_time: bool = False) -> str:
        """Return the name of a new topic. With `broker_time`, records carry the time they were appended."""
        topic = f"benchmark.{name}.{uuid.uuid4().hex[:10]}"
        config = {"message.timestamp.type": "LogAppendTime"} if broker_time else {}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        self._admin.create_topics([new])[topic].result(_ANSWER_WITHIN_S)
        self._created.append(topic)
        return topic

    def remove(self, *topics: str) -> None:
        """Delete topics that were created here."""
        if topics:
            for deleted in self._admin.delete_topics(list(topics)).values():
                deleted.result(_ANSWER_WITHIN_S)
            self._created = [topic for topic in self._created if topic not in topics]

    def fill(self, topic: str, values: Sequence[bytes], count: int, partitions: int) -> None:
        """Write `count` records, `values` over and over, to all partitions in turn."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 20,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 2_000_000,
                "queue.buffering.max.kbytes": 1_000_000,
            }
        )
        for index, value in enumerate(islice(cycle(values), count)):
            while True:
                try:
                    producer.produce(topic, value, b"k%d" % (index % 10_000), index % partitions)
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        if producer.flush(120):
            raise RuntimeError(f"{topic}: not all events were written")

    def end(self, topic: str) -> int:
        """Return the sum of the end offsets, transaction markers included."""
        consumer = self._reader()
        try:
            places = self._places(consumer, topic)
            return sum(consumer.get_watermark_offsets(p, timeout=_ANSWER_WITHIN_S)[1] for p in places)
        finally:
            consumer.close()

    def read(self, topic: str) -> Written:
        """Return every committed record of `topic`."""
        consumer = self._reader()
        times: list[int] = []
        keys: list[bytes | None] = []
        try:
            places = self._places(consumer, topic)
            consumer.assign([TopicPartition(p.topic, p.partition, 0) for p in places])
            open_partitions = {p.partition for p in places}
            while open_partitions:
                for message in consumer.consume(10_000, 1.0):
                    error = message.error()
                    if error is None:
                        times.append(message.timestamp()[1])
                        keys.append(message.key())
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
                        open_partitions.discard(message.partition())
        finally:
            consumer.close()
        return Written(np.sort(np.asarray(times, np.int64)), keys)

    def _places(self, consumer: Consumer, topic: str) -> list[TopicPartition]:
        partitions = consumer.list_topics(topic, timeout=_ANSWER_WITHIN_S).topics[topic].partitions
        return [TopicPartition(topic, partition) for partition in partitions]

    def _reader(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"benchmark-reader-{uuid.uuid4().hex[:8]}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )


def until_written(topics: Topics, topic: str, count: int, *, within_s: float, alive: object) -> None:
    """Return when `topic` has `count` records and has stopped growing. Raises `RuntimeError` when late."""
    deadline = time.monotonic() + within_s
    before = -1
    while True:
        end = topics.end(topic)
        if end >= count and end == before:
            return
        before = end
        if time.monotonic() > deadline:
            raise RuntimeError(f"{topic}: {end} of {count} records in {within_s:.0f} s")
        if callable(alive):
            alive()
        time.sleep(0.25)
