"""Several topics read outside of any group: what they hold from a time on, then new records.

A topic that is missing, or that this principal may not read, is told and tried again; the others are read.
Nothing is created or committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_infer.flow.records import Headers, Partition
from stream_infer.kafka.columns import headers_of, partition_of
from stream_infer.kafka.error_policy import error_of, is_unreachable
from stream_infer.kafka.standalone_reader import standalone_consumer

_ASK_S = 10.0
_LOOK_AGAIN_S = 10.0
_MISSING_LOOK_AGAIN_S = 2.0
_MANY = 1_000


@dataclass(frozen=True, slots=True)
class HistoryRecord:
    """A record with its place and timestamp (Unix ms)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class TopicHistory:
    """Use `topic_history`, which opens and closes it.

    `since_ms` has the time from which each topic is read; None for its beginning.
    """

    def __init__(self, consumer: Consumer, since_ms: Mapping[str, int | None]) -> None:
        self._consumer = consumer
        self._since_ms = since_ms
        self._unread: dict[Partition, int] = {}
        self._read: set[Partition] = set()
        self._spans: dict[Partition, tuple[int, int]] = {}
        self._troubles: dict[str, str] = dict.fromkeys(since_ms, "was not asked for yet")
        self._look_at_s = 0.0

    @property
    def troubles(self) -> Mapping[str, str]:
        """Why a topic is not read, by name."""
        return dict(self._troubles)

    @property
    def caught_up(self) -> bool:
        """Whether the brokers answered, and the end of every partition that is read was reached once."""
        return self._look_at_s > 0 and not self._unread

    def share(self) -> float:
        """Return how much of the history is read, 0 to 1, by offsets."""
        whole = sum(end - start for start, end in self._spans.values())
        left = sum(max(0, self._spans[p][1] - at) for p, at in self._unread.items() if p in self._spans)
        return 1.0 - left / whole if whole else float(self.caught_up)

    def read(self, wait_s: float) -> list[HistoryRecord]:
        """Return new records, as soon as there are some, or none after `wait_s`."""
        if time.monotonic() >= self._look_at_s:
            self._look()
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(_MANY, 0)]
        return [record for message in messages if (record := self._record(message)) is not None]

    def _look(self) -> None:
        """Begin with partitions that are not read yet: all at first, later those that were added."""
        try:
            known = self._consumer.list_topics(timeout=_ASK_S).topics
        except KafkaException as exception:
            reason = f"was not found: no broker answers: {error_of(exception).str()}"
            self._troubles.update((t, reason) for t in self._since_ms if not self._is_read(t))
            return
        for topic, since_ms in self._since_ms.items():
            found = known.get(topic)
            if found is None or found.error is not None:
                told = "" if found is None or found.error is None else f": {found.error.str()}"
                self._troubles[topic] = f"does not exist, or may not be described by this principal{told}"
                continue
            self._troubles.pop(topic, None)
            new = [Partition(topic, index) for index in sorted(found.partitions)]
            self._begin([p for p in new if p not in self._read], since_ms)
        again_s = _MISSING_LOOK_AGAIN_S if self._troubles else _LOOK_AGAIN_S
        self._look_at_s = time.monotonic() + again_s

    def _begin(self, new: Sequence[Partition], since_ms: int | None) -> None:
        if not new:
            return
        places = [TopicPartition(p.topic, p.index, OFFSET_BEGINNING) for p in new]
        if since_ms is not None:
            places = _at(self._consumer, places, since_ms)
        self._read.update(new)
        self._unread.update((partition_at(place), max(0, place.offset)) for place in places)
        self._consumer.incremental_assign(places)

    def _is_read(self, topic: str) -> bool:
        return any(p.topic == topic for p in self._read)

    def _record(self, message: Message) -> HistoryRecord | None:
        error, place = message.error(), partition_of(message)
        if error is not None:
            self._take_error(error, place)
            return None
        offset = message.offset() or 0
        if place in self._unread:
            self._note(place, offset)
        _, timestamp_ms = message.timestamp()
        headers = headers_of(message) or ()
        return HistoryRecord(
            place.topic, place.index, offset, timestamp_ms, message.key(), message.value(), headers
        )

    def _note(self, place: Partition, offset: int) -> None:
        if place not in self._spans:
            ends = self._consumer.get_watermark_offsets(TopicPartition(place.topic, place.index), cached=True)
            self._spans[place] = offset, max(offset + 1, ends[1])
        self._unread[place] = offset + 1

    def _take_error(self, error: KafkaError, place: Partition) -> None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local error
            self._unread.pop(place, None)
        elif place.topic in self._since_ms and not (error.retriable() or is_unreachable(error)):
            self._leave(place.topic, f"cannot be read: {error.str()}")

    def _leave(self, topic: str, reason: str) -> None:
        """Read no more of a topic until it is looked for again."""
        left = [p for p in self._read if p.topic == topic]
        self._consumer.incremental_unassign([TopicPartition(p.topic, p.index) for p in left])
        self._read.difference_update(left)
        for partition in left:
            self._unread.pop(partition, None)
            self._spans.pop(partition, None)
        self._troubles[topic] = reason


def partition_at(place: TopicPartition) -> Partition:
    """Return the partition of a place in a log."""
    return Partition(place.topic, place.partition)


def _at(consumer: Consumer, places: Sequence[TopicPartition], since_ms: int) -> list[TopicPartition]:
    """Return the places of a time; the beginning where the brokers do not tell."""
    asked = [TopicPartition(place.topic, place.partition, since_ms) for place in places]
    try:
        return list(consumer.offsets_for_times(asked, timeout=_ASK_S))
    except KafkaException:
        return list(places)


@contextmanager
def topic_history(
    config: Mapping[str, object], since_ms: Mapping[str, int | None], reader: str
) -> Iterator[TopicHistory]:
    """Open the topics that `since_ms` names; `config` is that of an admin client, `reader` names its group.

    It never joins that group: the name only shows in the rights that a broker asks for.
    """
    consumer = standalone_consumer(config, reader)
    try:
        yield TopicHistory(consumer, since_ms)
    finally:
        consumer.close()
