"""Topics of the benchmarks: made, filled, read back, removed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Self

import numpy as np
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.cimpl import NewTopic
from numpy.typing import NDArray

_ANSWER_WITHIN_S = 30.0
_TICK_S = 0.1
# A topic this young may have no leader yet.
_UNSETTLED = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


class Topics:
    """Topics with names never used before; all are removed when the block ends."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        self._created: dict[str, int] = {}
        self._members: dict[str, Consumer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members.values():
            member.close()
        self.remove(*self._created)

    def create(self, name: str, partitions: int, *, broker_time: bool = False) -> str:
        """Return the name of a new topic. With `broker_time`, records carry the time they were appended."""
        topic = f"benchmark.{name}.{uuid.uuid4().hex[:10]}"
        config = {"message.timestamp.type": "LogAppendTime"} if broker_time else {}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config)
        self._admin.create_topics([new])[topic].result(_ANSWER_WITHIN_S)
        self._created[topic] = partitions
        return topic

    def remove(self, *topics: str) -> None:
        """Delete topics that were created here."""
        if topics:
            for deleted in self._admin.delete_topics(list(topics)).values():
                deleted.result(_ANSWER_WITHIN_S)
            self._created = {t: count for t, count in self._created.items() if t not in topics}

    def fill(
        self,
        topic: str,
        values: Sequence[bytes],
        count: int,
        partitions: int,
        *,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
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
        all_headers = list(headers) or None
        for index, value in enumerate(islice(cycle(values), count)):
            while True:
                try:
                    producer.produce(
                        topic, value, b"k%d" % (index % 10_000), index % partitions, headers=all_headers
                    )
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        if producer.flush(120):
            raise RuntimeError(f"{topic}: not all events were written")

    def end(self, topic: str) -> int:
        """Return the sum of the end offsets of a topic created here, the marks of transactions included."""
        asked = {place: OffsetSpec.latest() for place in self._places(topic)}
        deadline = time.monotonic() + _ANSWER_WITHIN_S
        while True:
            found = self._admin.list_offsets(asked, request_timeout=_ANSWER_WITHIN_S)
            try:
                return sum(future.result().offset for future in found.values())
            except KafkaException as unsettled:
                if unsettled.args[0].code() not in _UNSETTLED or time.monotonic() > deadline:
                    raise
                time.sleep(_TICK_S)

    def read(self, topic: str) -> NDArray[np.int64]:
        """Return the timestamps (ms) of every committed record of `topic`, ascending."""
        consumer = self._reader()
        times: list[int] = []
        try:
            places = self._places(topic)
            consumer.assign(places)
            open_partitions = {p.partition for p in places}
            while open_partitions:
                for message in consumer.consume(10_000, 1.0):
                    error = message.error()
                    if error is None:
                        times.append(message.timestamp()[1])
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
                        open_partitions.discard(message.partition())
        finally:
            consumer.close()
        return np.sort(np.asarray(times, np.int64))

    def committed(self, group: str, topic: str) -> int:
        """Return how many records of a topic created here a consumer group has done with.

        A consumer asks that does not join: `list_consumer_group_offsets` may end the process
        (confluent-kafka-python #1982).
        """
        if group not in self._members:
            self._members[group] = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        found = self._members[group].committed(self._places(topic), timeout=_ANSWER_WITHIN_S)
        return sum(max(0, place.offset) for place in found)

    def group(self, name: str) -> tuple[ConsumerGroupState, int]:
        """Return the state of a consumer group, and how many members it has."""
        found = self._admin.describe_consumer_groups([name])[name].result(_ANSWER_WITHIN_S)
        return found.state, len(found.members)

    def _places(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, partition, 0) for partition in range(self._created[topic])]

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
