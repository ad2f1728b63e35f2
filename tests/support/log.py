"""Reading Kafka from outside: all records of a topic that are visible now, and what a group has committed.

Imports confluent_kafka only: the oracle reads with it, and the oracle must not know the code that it judges.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tests.support.clients import admin

_ANSWER_WITHIN_S = 20.0
_READ_AT_ONCE = 10_000


Header = tuple[str, bytes | None]


class Isolation(StrEnum):
    """What a reader sees: the records of committed transactions, or those of open and aborted ones too."""

    COMMITTED = "read_committed"
    UNCOMMITTED = "read_uncommitted"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies in the log."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


def partitions_of(bootstrap: str, topic: str) -> Sequence[int]:
    """Return the partition indexes of `topic`."""
    metadata = admin(bootstrap).list_topics(topic, timeout=_ANSWER_WITHIN_S)
    return sorted(metadata.topics[topic].partitions)


def read_all(bootstrap: str, topic: str, isolation: Isolation = Isolation.COMMITTED) -> list[Record]:
    """Return every record of `topic` that is visible now, in offset order within a partition.

    A partition is at its end when the client says so. Its high watermark would be wrong: offsets before it
    belong to open transactions, to aborted ones and to control records too.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation.value,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 10,  # how long the broker waits before it says that there is no more
        }
    )
    try:
        unfinished = {(topic, index) for index in partitions_of(bootstrap, topic)}
        consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in sorted(unfinished)])
        records: list[Record] = []
        while unfinished:
            first = consumer.poll(_ANSWER_WITHIN_S)
            if first is None:
                raise TimeoutError(f"{topic}: nothing came within {_ANSWER_WITHIN_S} s; unread: {unfinished}")
            # consume() with a timeout would wait for all that it is asked for
            records += _records([first, *consumer.consume(_READ_AT_ONCE, timeout=0)], unfinished)
        return records
    finally:
        consumer.close()


def committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """Return the offset that `group` has committed for each partition of `topic`; 0 where it has none."""
    asked = [TopicPartition(topic, index) for index in partitions_of(bootstrap, topic)]
    request = [ConsumerGroupTopicPartitions(group, asked)]
    client = admin(bootstrap)  # the answer comes only while the client lives
    answer = client.list_consumer_group_offsets(request)[group].result(_ANSWER_WITHIN_S)
    return {place.partition: max(place.offset, 0) for place in answer.topic_partitions}


def _records(messages: Sequence[Message], unfinished: set[tuple[str, int]]) -> Iterable[Record]:
    for message in messages:
        error = message.error()
        if error is None:
            yield _record(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            unfinished.discard((message.topic() or "", message.partition() or 0))
        else:
            raise KafkaException(error)


def _record(message: Message) -> Record:
    return Record(
        topic=str(message.topic()),
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=tuple(cast(Iterable[Header], message.headers() or ())),
    )
