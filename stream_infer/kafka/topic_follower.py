"""Topics read from their end on, outside of any group: the records that are committed from now on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.flow.records import Headers
from stream_infer.kafka.columns import headers_of
from stream_infer.kafka.error_policy import error_of
from stream_infer.kafka.standalone_reader import is_end, partitions_of, standalone_consumer

_ASK_S = 10.0
_MANY = 1000


@dataclass(frozen=True, slots=True)
class FollowedRecord:
    """A record and the topic that it came from."""

    topic: str
    value: bytes | None
    headers: Headers


class TopicFollower:
    """Use `follow_topics`, which opens and closes it."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def read(self, wait_s: float) -> list[FollowedRecord]:
        """Return what has come within `wait_s` seconds, as soon as something has. Raises `Unreadable`."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(_MANY, 0)]
        return [record for message in messages if (record := _record(message)) is not None]


@contextmanager
def follow_topics(config: Mapping[str, object], topics: Sequence[str]) -> Iterator[TopicFollower]:
    """Open `topics` at their end; `config` is that of a client that only asks.

    The end is known when the block begins: a record that is written later is read. Raises
    `BrokerUnreachable` or `Unreadable`.
    """
    consumer = standalone_consumer(config, topics[0])
    try:
        consumer.assign([_end(consumer, topic, p) for topic in topics for p in _partitions(consumer, topic)])
        yield TopicFollower(consumer)
    finally:
        consumer.close()


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    return partitions_of(consumer, topic, _ASK_S)


def _end(consumer: Consumer, topic: str, partition: int) -> TopicPartition:
    """Return the offset that the next record of a partition will have."""
    place = TopicPartition(topic, partition)
    try:
        held = consumer.get_watermark_offsets(place, timeout=_ASK_S)
    except KafkaException as exception:
        raise BrokerUnreachable(f"{topic} cannot be read: {error_of(exception).str()}") from exception
    if held is None:
        raise BrokerUnreachable(f"no watermarks of {topic}/{partition} within {_ASK_S:.0f} s")
    return TopicPartition(topic, partition, held[1])


def _record(message: Message) -> FollowedRecord | None:
    error = message.error()
    if error is not None:
        is_end(error, message)
        return None
    return FollowedRecord(message.topic() or "", message.value(), headers_of(message) or ())
