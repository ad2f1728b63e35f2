"""Where reading starts: committed offsets, the start of a new group, offsets that retention deleted.

The consumer has `auto.offset.reset=error`: every start is explicit here, and no default skips records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.flow.records import Partition
from stream_infer.kafka.error_policy import error_of, is_unreachable

_ADMIN_S = 10.0

# A worker that died in a transaction under another slot blocks the committed offsets of its partitions until
# the broker aborts that transaction: after `transaction.timeout.ms`, checked every 10 s.
_STABLE_S = 90.0

# Errors for a client that is no member of a group that is not empty.
_BEGUN = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
    }
)


class OnLostOffset(StrEnum):
    """The reaction to a committed offset that retention deleted."""

    HALT = "halt"
    EARLIEST = "earliest"


@dataclass(frozen=True, slots=True)
class StartOffsets:
    """The start policy: "earliest", "latest" or a timestamp in Unix milliseconds, for a new group only.

    A partition added later, or one never committed, is read from its earliest record: nothing is skipped.
    """

    start: str | int
    on_lost_offset: OnLostOffset

    def begin_group(self, consumer: Consumer, topics: Iterable[str]) -> None:
        """Commit the starting offsets of a group that has none, before this consumer joins it.

        Only an empty group accepts such a commit; the start of another worker that was faster stands.
        """
        if self.start == "earliest":
            return
        try:
            everything = _partitions_of(consumer, topics)
            if any(c.offset >= 0 for c in consumer.committed(everything, timeout=_STABLE_S)):
                return
            offsets = [TopicPartition(p.topic, p.partition, self._begin(consumer, p)) for p in everything]
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as exception:
            error = error_of(exception)
            if is_unreachable(error):
                raise BrokerUnreachable(f"cannot find where to start: {error.str()}") from exception
            if error.code() not in _BEGUN:
                raise Fatal(f"cannot set where the group starts: {error.str()}") from exception
            # Another worker has begun the group in the meantime.

    def _begin(self, consumer: Consumer, partition: TopicPartition) -> int:
        _, end = _watermarks(consumer, partition)
        if self.start == "latest":
            return end
        asked = TopicPartition(partition.topic, partition.partition, int(self.start))
        [found] = consumer.offsets_for_times([asked], timeout=_ADMIN_S)
        return found.offset if found.offset >= 0 else end

    def of(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> dict[Partition, int]:
        """Return the offset from which to read each assigned partition."""
        if not assigned:
            return {}
        asked = [TopicPartition(tp.topic, tp.partition) for tp in assigned]
        offsets: dict[Partition, int] = {}
        for committed in consumer.committed(asked, timeout=_STABLE_S):
            if committed.error is not None:
                raise Fatal(
                    f"no committed offset for {committed.topic}/{committed.partition}: {committed.error}"
                )
            partition = Partition(committed.topic, committed.partition)
            earliest, _ = _watermarks(consumer, committed)
            if committed.offset < 0:
                offsets[partition] = earliest
            elif committed.offset < earliest:
                offsets[partition] = self.after_loss(consumer, partition, committed.offset)
            else:
                offsets[partition] = committed.offset
        return offsets

    def after_loss(self, consumer: Consumer, partition: Partition, wanted: int) -> int:
        """Return the offset to continue at, or raise `Fatal`: the log has no `wanted` any more."""
        earliest, end = _watermarks(consumer, TopicPartition(partition.topic, partition.index))
        if self.on_lost_offset is OnLostOffset.EARLIEST:
            return earliest
        raise Fatal(
            f"offset {wanted} of {partition.topic}/{partition.index} is not in the log (it holds {earliest} "
            f"to {end}): retention deleted it, or the topic was recreated. To continue from the "
            'earliest record, set [input] on_lost_offset = "earliest"'
        )


def _watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    ends = consumer.get_watermark_offsets(partition, timeout=_ADMIN_S)
    if ends is None:
        raise BrokerUnreachable(
            f"no watermarks of {partition.topic}/{partition.partition} within {_ADMIN_S:.0f} s"
        )
    return ends


def _partitions_of(consumer: Consumer, topics: Iterable[str]) -> list[TopicPartition]:
    known = consumer.list_topics(timeout=_ADMIN_S).topics
    return [TopicPartition(t, p) for t in topics for p in known[t].partitions]
