"""Where reading starts: committed offsets, the start of a new group, offsets that are lost.

The consumer has `auto.offset.reset=error`: every start is explicit here, and no default skips records. The
metadata of a committed offset name the topic by its id: it is never applied to one that was created later
under the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.flow.events import OffsetsLost
from stream_infer.flow.records import Partition
from stream_infer.kafka.error_policy import error_of, is_unreachable
from stream_infer.kafka.topic_ids import NO_ID, TopicIds, differs
from stream_infer.kafka.toppars import group_offset, topic_id_of

_ADMIN_S = 5.0

NextOffset = Callable[[Partition, str], int]
"""Returns the next offset to answer of a partition of the topic with this id; 0 where nothing is known."""


def _nothing() -> NextOffset:
    return lambda _partition, _topic_id: 0


# Errors for a client that is no member of a group that is not empty.
_BEGUN = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
    }
)


class Start(NamedTuple):
    """The offset from which a partition is read, in the topic with the id `topic_id`.

    `leader_epoch` is that of the record before it, where it is known. `lost` says which offset the log does
    not have any more; with `halted`, the partition is not read for that reason. `left` is the lost offset
    that the group still has.
    """

    offset: int
    halted: str | None = None
    topic_id: str = NO_ID
    lost: str | None = None
    left: int | None = None
    leader_epoch: int | None = None


def losses(starts: Mapping[Partition, Start]) -> OffsetsLost | None:
    """Return the offsets that are lost, None where there are none."""
    lost = {p: start for p, start in starts.items() if start.lost is not None}
    if not lost:
        return None
    return OffsetsLost(
        {p: str(s.lost) for p, s in lost.items()},
        {p: s.offset for p, s in lost.items()},
        waits=any(s.halted is not None for s in lost.values()),
    )


def halts(starts: Mapping[Partition, Start]) -> dict[Partition, str]:
    """Return the partitions that are not read, and why."""
    return {p: start.halted for p, start in starts.items() if start.halted is not None}


class OnLostOffset(StrEnum):
    """The reaction to an offset whose record cannot be read any more."""

    HALT = "halt"
    EARLIEST = "earliest"


@dataclass(frozen=True, slots=True)
class StartOffsets:
    """The start policy: "earliest", "latest" or a timestamp in Unix milliseconds, for a new group only.

    A topic or partition added later is read from its earliest record: nothing is skipped. `inputs` are all
    topics of the group, `outputs` those with the answers of this pipeline: where they show that it has run
    before, a group without offsets is not new. Its offsets have expired, or somebody has deleted them, and
    nobody knows what was answered, unless `remembered` tells: it reads what was committed with the answers.
    """

    start: str | int
    on_lost_offset: OnLostOffset
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    remembered: Callable[[], NextOffset] = _nothing

    def begin_group(
        self, consumer: Consumer, topics: Iterable[str], topic_ids: TopicIds
    ) -> Mapping[Partition, int]:
        """Commit the starting offsets of a new group, before this consumer joins it; return them.

        There are none for a group that has begun.

        So a group without offsets is one that has lost them, or it belongs to a pipeline that has never run.
        Only an empty group accepts such a commit; the start of another worker that was faster stands.
        """
        try:
            everything = partitions_in(consumer, topics)
            if not everything or has_offsets(consumer, everything) or self._answered(consumer):
                return {}
            ids = topic_ids.now()  # before the offsets: those of a later topic would not count
            known = self.remembered()
            offsets = []
            for p in everything:
                topic_id = ids.get(p.topic) or NO_ID
                first = known(_partition(p), topic_id) or self._begin(consumer, p)
                offsets.append(group_offset(_partition(p), first, topic_id))
            consumer.commit(offsets=offsets, asynchronous=False)
            return {_partition(one): one.offset for one in offsets}
        except BrokerUnreachable:
            if self.start != "earliest":
                raise
        except KafkaException as exception:
            error = error_of(exception)
            if is_unreachable(error):
                if self.start == "earliest":
                    return {}  # each assigned partition is asked about: without an offset it begins there too
                raise BrokerUnreachable(f"cannot find where to start: {error.str()}") from exception
            if error.code() not in _BEGUN:
                raise Fatal(f"cannot set where the group starts: {error.str()}") from exception
            # Another worker has begun the group in the meantime.
        return {}

    def _begin(self, consumer: Consumer, partition: TopicPartition) -> int:
        earliest, end = _watermarks(consumer, partition)
        if self.start == "earliest":
            return earliest
        if self.start == "latest":
            return end
        asked = TopicPartition(partition.topic, partition.partition, int(self.start))
        [found] = consumer.offsets_for_times([asked], timeout=_ADMIN_S)
        return found.offset if found.offset >= 0 else end

    def of(
        self,
        consumer: Consumer,
        assigned: Sequence[TopicPartition],
        topic_ids: TopicIds,
        lost: Mapping[Partition, int],
    ) -> dict[Partition, Start]:
        """Return where to read each assigned partition of the topics in `topic_ids.found`.

        `lost` are offsets that the broker refused.

        A worker that died in a transaction under another slot blocks the committed offsets of its partitions
        until the broker aborts that transaction. Raises `KafkaException` or `BrokerUnreachable` meanwhile.
        """
        if not assigned:
            return {}
        asked = [TopicPartition(tp.topic, tp.partition) for tp in assigned]
        starts: dict[Partition, Start] = {}
        remembered = cache(self.remembered)
        for committed in consumer.committed(asked, timeout=_ADMIN_S):
            if committed.error is not None:
                raise KafkaException(committed.error)
            partition = _partition(committed)
            if committed.offset < 0 and partition not in lost:
                committed = _remembered(committed, remembered(), topic_ids)  # noqa: PLW2901 - instead of none
            starts[partition] = self._start(consumer, committed, topic_ids, lost.get(partition))
        return starts

    def _start(
        self, consumer: Consumer, committed: TopicPartition, topic_ids: TopicIds, lost: int | None
    ) -> Start:
        partition, found = _partition(committed), topic_ids.found.get(committed.topic) or NO_ID
        has_offset = committed.offset >= 0
        # The broker drops the offsets of a deleted topic, sooner or later.
        used = topic_id_of(committed) if has_offset else topic_ids.used.get(committed.topic)
        earliest, end = _watermarks(consumer, committed)
        if differs(used, found):
            what = (
                f"{partition.topic} was deleted and recreated: its id was {used} and is {found}. The new log "
                f"holds {earliest} to {end}"
            )
            advice = (
                "To continue from its earliest record, stop the workers and use `stream-infer offsets reset "
                '--to earliest`. With [input] on_lost_offset = "earliest" that happens by itself'
            )
            return self._loss(committed, earliest, found, what, advice)
        if lost is None and not has_offset:
            return Start(earliest, self._forgotten(consumer), found)
        if lost is not None or committed.offset < earliest:
            wanted = committed.offset if lost is None else lost
            what = (
                f"offset {wanted} is not in the log (it holds {earliest} to {end}): retention deleted it, "
                "the log was truncated, or the topic was recreated"
            )
            advice = (
                'To continue from the earliest record, set [input] on_lost_offset = "earliest" and restart; '
                "for another offset, use `stream-infer offsets reset`"
            )
            return self._loss(committed, earliest, found, what, advice)
        return Start(committed.offset, None, found, leader_epoch=committed.leader_epoch)

    def _loss(self, committed: TopicPartition, earliest: int, topic_id: str, what: str, advice: str) -> Start:
        halted = f"{what}. {advice}" if self.on_lost_offset is OnLostOffset.HALT else None
        return Start(earliest, halted, topic_id, what, committed.offset)

    def _forgotten(self, consumer: Consumer) -> str | None:
        """Return why nobody knows where to read; None for a topic or partition that was added later."""
        answered = self._answered(consumer)
        if answered is None or has_offsets(consumer, partitions_in(consumer, self.inputs)):
            return None
        return (
            f"the group has no committed offsets, and {answered} has answers of earlier runs: the offsets "
            "have expired (offsets.retention.minutes of the broker), or the group or the topic was deleted. "
            "Stop the workers and say where to go on: `stream-infer offsets reset --to ...`"
        )

    def _answered(self, consumer: Consumer) -> str | None:
        """Return a topic that has, or had, answers of this pipeline."""
        for place in partitions_in(consumer, self.outputs):
            if _watermarks(consumer, place)[1] > 0:
                return place.topic
        return None


def _partition(place: TopicPartition) -> Partition:
    return Partition(place.topic, place.partition)


def _remembered(place: TopicPartition, known: NextOffset, topic_ids: TopicIds) -> TopicPartition:
    """Return the offset that `known` tells; `place`, which has none, where nothing is known."""
    partition, topic_id = _partition(place), topic_ids.found.get(place.topic) or NO_ID
    offset = known(partition, topic_id)
    return group_offset(partition, offset, topic_id) if offset else place


def _watermarks(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    ends = consumer.get_watermark_offsets(partition, timeout=_ADMIN_S)
    if ends is None:
        raise BrokerUnreachable(
            f"no watermarks of {partition.topic}/{partition.partition} within {_ADMIN_S:.0f} s"
        )
    return ends


def has_offsets(consumer: Consumer, partitions: list[TopicPartition]) -> bool:
    """Whether the group of `consumer` has committed an offset of one of them."""
    return any(place.offset >= 0 for place in consumer.committed(partitions, timeout=_ADMIN_S))


def partitions_in(consumer: Consumer, topics: Iterable[str]) -> list[TopicPartition]:
    """Return all partitions of those of `topics` that exist."""
    known = consumer.list_topics(timeout=_ADMIN_S).topics
    return [TopicPartition(t, p) for t in topics if t in known for p in known[t].partitions]
