"""Reads Kafka from outside: all visible records of a topic, and the committed offsets of a group.

Imports confluent_kafka only: the oracle reads with it and must not import the code under test.
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
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from tests.support.clients import SILENT, admin

_ANSWER_WITHIN_S = 20.0
_READ_AT_ONCE = 10_000


Header = tuple[str, bytes | None]


class Isolation(StrEnum):
    """The isolation level of a reader: committed transactions only, or open and aborted ones too."""

    COMMITTED = "read_committed"
    UNCOMMITTED = "read_uncommitted"


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log."""

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

    The client reports the end of a partition. The high watermark would not do: offsets before it also belong
    to open and aborted transactions and to control records.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation.value,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 10,  # the wait of the broker before it reports the end
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
            # consume() with a timeout would wait for the full number
            records += _records([first, *consumer.consume(_READ_AT_ONCE, timeout=0)], unfinished)
        return records
    finally:
        consumer.close()


def committed(bootstrap: str, group: str, topic: str) -> dict[int, int]:
    """Return the offset that `group` has committed for each partition of `topic`; 0 where it has none."""
    partitions = [TopicPartition(topic, index) for index in partitions_of(bootstrap, topic)]
    # A reader of committed records would wait for the end of a transaction that holds offsets.
    settings = {"bootstrap.servers": bootstrap, "group.id": group, "isolation.level": "read_uncommitted"}
    consumer = Consumer(settings, logger=SILENT)
    try:
        answer = consumer.committed(partitions, timeout=_ANSWER_WITHIN_S)
    finally:
        consumer.close()
    return {place.partition: max(place.offset, 0) for place in answer}


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
