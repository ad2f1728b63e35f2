"""The committed offsets of a group without members: read, and set, by a consumer that does not join it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.flow.records import Partition
from stream_infer.kafka.client import SILENT
from stream_infer.kafka.error_policy import error_of, is_unreachable
from stream_infer.kafka.ranges import RangeBound, offsets_at
from stream_infer.kafka.standalone_reader import partitions_of
from stream_infer.kafka.topic_ids import NO_ID, TopicIds, differs
from stream_infer.kafka.toppars import group_offset, topic_id_of

_ASK_S = 10.0
# As long as a transaction of a worker that was killed may keep them back.
_STABLE_S = 90.0


class GroupOffsets:
    """Use `group_offsets`, which opens and closes it. Every method raises `BrokerUnreachable` or `Fatal`."""

    def __init__(self, consumer: Consumer, topics: Sequence[str], ids: Mapping[str, str | None]) -> None:
        self._consumer = consumer
        self._ids = ids
        self._asked = [
            TopicPartition(topic, index)
            for topic in topics
            for index in partitions_of(consumer, topic, _ASK_S)
        ]

    def committed(self) -> Mapping[Partition, int | None]:
        """Return the committed offset of each partition.

        None where there is none, or only one of a topic that was deleted.
        """
        with _explained("read"):
            found = self._consumer.committed(self._asked, timeout=_STABLE_S)
        for each in found:
            if each.error is not None:
                raise Fatal(f"no committed offset for {each.topic}/{each.partition}: {each.error}")
        return {Partition(tp.topic, tp.partition): tp.offset if self._counts(tp) else None for tp in found}

    def at(self, place: RangeBound) -> Mapping[Partition, int]:
        """Return the offset of `place` in each partition, within the log."""
        with _explained("read"):
            return offsets_at(self._consumer, self._asked, place)

    def topic_id(self, partition: Partition) -> str:
        """Return the id of the topic of `partition`, `NO_ID` where the brokers know none."""
        return self._ids.get(partition.topic) or NO_ID

    def commit(self, offsets: Mapping[Partition, int], topic_ids: Mapping[Partition, str]) -> None:
        """Set offsets of topics with these ids. The broker refuses that for a group that has members."""
        wanted = [group_offset(p, offset, topic_ids[p]) for p, offset in offsets.items()]
        with _explained("set"):
            self._consumer.commit(offsets=wanted, asynchronous=False)

    def _counts(self, committed: TopicPartition) -> bool:
        return committed.offset >= 0 and not differs(
            topic_id_of(committed), self._ids.get(committed.topic, NO_ID)
        )


@contextmanager
def group_offsets(
    config: Mapping[str, object], topics: Sequence[str], topic_ids: TopicIds
) -> Iterator[GroupOffsets]:
    """Open the offsets of `topics` in the group of `config`, which is that of a member."""
    consumer = Consumer(dict(config), logger=SILENT)
    try:
        yield GroupOffsets(consumer, topics, topic_ids.now())
    finally:
        consumer.close()


@contextmanager
def _explained(act: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as exception:
        error = error_of(exception)
        kind = BrokerUnreachable if is_unreachable(error) else Fatal
        raise kind(f"the offsets of the group cannot be {act}: {error.str()}") from exception
