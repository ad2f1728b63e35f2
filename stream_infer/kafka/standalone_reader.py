"""Reads a topic outside of any group: its records so far, then new ones.

For compacted topics, where the newest record of a key counts (status, control), and to follow events.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.flow.records import Headers
from stream_infer.kafka.client import RECONNECT_BACKOFF_MS
from stream_infer.kafka.columns import headers_of
from stream_infer.kafka.error_policy import error_of, is_unreachable

_ASK_S = 10.0
_MANY = 1000


class Unreadable(Fatal):
    """The topic does not exist, or this principal may not read it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record; a null value (tombstone) deletes the key."""

    key: bytes
    value: bytes | None
    headers: Headers


class Tail:
    """All partitions of one topic, from the beginning. Use `tail`, which opens and closes it."""

    def __init__(self, consumer: Consumer, unread: set[int]) -> None:
        self._consumer = consumer
        self._unread = unread

    @property
    def caught_up(self) -> bool:
        """Whether the end of every partition was reached once."""
        return not self._unread

    def read(self, wait_s: float) -> list[Entry]:
        """Return new records, as soon as there are some, or none after `wait_s`. Raises `Unreadable`."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        return [e for m in [first, *self._consumer.consume(_MANY, 0)] if (e := self._entry(m)) is not None]

    def _entry(self, message: Message) -> Entry | None:
        error = message.error()
        if error is None:
            return Entry(message.key() or b"", message.value(), headers_of(message) or ())
        if is_end(error, message):
            self._unread.discard(message.partition() or 0)
        return None


@contextmanager
def tail(config: Mapping[str, object], topic: str, *, within_s: float = _ASK_S) -> Iterator[Tail]:
    """Open `topic` from its beginning; `config` is that of an admin client.

    Raises `BrokerUnreachable` when no broker answers `within_s`, and `Unreadable`.
    """
    consumer = standalone_consumer(config, topic)
    try:
        partitions = partitions_of(consumer, topic, within_s)
        consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions])
        yield Tail(consumer, set(partitions))
    finally:
        consumer.close()


def newest_values(
    config: Mapping[str, object], topic: str, *, within_s: float = _ASK_S
) -> dict[bytes, bytes]:
    """Return the newest value of each key of `topic`. Raises what `tail` raises."""
    held = newest_entries(config, topic, within_s=within_s)
    return {key: entry.value for key, entry in held.items() if entry.value is not None}


def newest_entries(
    config: Mapping[str, object], topic: str, *, within_s: float = _ASK_S
) -> dict[bytes, Entry]:
    """Return the newest record of each key, without tombstones. Raises what `newest_values` raises."""
    held: dict[bytes, Entry] = {}
    deadline = time.monotonic() + within_s
    with tail(config, topic, within_s=within_s) as reading:
        while not reading.caught_up:
            if time.monotonic() > deadline:
                raise BrokerUnreachable(f"{topic} could not be read to its end within {within_s:.0f} s")
            for entry in reading.read(0.2):
                if entry.value is None:
                    held.pop(entry.key, None)
                else:
                    held[entry.key] = entry
    return held


def standalone_consumer(config: Mapping[str, object], topic: str) -> Consumer:
    """Return a consumer that joins no group and commits nothing.

    `config` is that of an admin client.
    """
    return Consumer(
        {"reconnect.backoff.ms": RECONNECT_BACKOFF_MS}
        | dict(config)
        | {
            "group.id": f"{topic}.reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
        }
    )


def is_end(error: KafkaError, message: Message) -> bool:
    """Return whether `error`, which came in place of a record, is the end of a partition.

    Return False for a temporary error; raise `Unreadable` for any other.
    """
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local error
        return True
    if error.retriable() or is_unreachable(error):
        return False
    raise Unreadable(f"{message.topic()} cannot be read: {error.str()}")


def partitions_of(consumer: Consumer, topic: str, within_s: float) -> list[int]:
    """Return the partition indexes of `topic`. Raises `BrokerUnreachable` or `Unreadable`."""
    try:
        found = consumer.list_topics(topic, timeout=within_s).topics[topic]
    except KafkaException as exception:
        raise BrokerUnreachable(f"no answer about {topic}: {error_of(exception).str()}") from exception
    if found.error is not None:
        raise Unreadable(f"{topic} cannot be read: {found.error.str()}")
    return sorted(found.partitions)
