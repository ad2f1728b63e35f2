"""Assigned partitions whose first offset is not known yet: the broker is asked until it tells.

Outside of the rebalance callbacks, so that the member stays in its group meanwhile. Partitions of a topic
that does not exist wait for it; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.flow.events import AssignmentDelayed, OffsetsLost, ReadingBegins
from stream_infer.flow.records import Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.error_policy import error_of, is_unreachable, may_pass
from stream_infer.kafka.offsets import Start, StartOffsets, halts, losses
from stream_infer.kafka.topic_ids import TopicIds
from stream_infer.kafka.toppars import group_offset, halt_partitions, release_partitions, toppars

_ADMIN_S = 5.0

Holding = Callable[[Sequence[Partition]], str | None]
"""Returns the sentence about the transaction that holds offsets of these partitions, None without one."""


class PendingPartitions:
    """The partitions that `assignment` gets once their offsets are known.

    `note` gets delays, offsets and losses.

    With `leader` come all partitions of the `companions`. `held` is asked about a transaction that holds the
    offsets, when the broker does not tell them.
    """

    def __init__(
        self,
        leader: Partition,
        companions: Sequence[str],
        start: StartOffsets,
        assignment: Assignment,
        topic_ids: TopicIds,
        note: Callable[[AssignmentDelayed | ReadingBegins | OffsetsLost], object],
        held: Holding,
    ) -> None:
        self._leader = leader
        self._companions = companions
        self._start = start
        self._assignment = assignment
        self._topic_ids = topic_ids
        self._note = note
        self._held = held
        self._waiting: set[Partition] = set()
        self._lost: dict[Partition, int] = {}
        self._reason = ""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, partitions: Iterable[Partition]) -> None:
        """Add partitions that were assigned."""
        self._waiting.update(partitions)

    def take_back(self, consumer: Consumer, partitions: Collection[Partition]) -> None:
        """Let `consumer` read these owned partitions no longer: it is asked again where."""
        release_partitions(consumer, self._assignment, partitions)
        self._waiting.update(partitions)

    def take_back_lost(self, consumer: Consumer, partition: Partition) -> None:
        """Do the same for a partition whose log does not have the next offset."""
        position = self._assignment.positions.get(partition)
        if position is not None:  # else it moved away while the error was on its way
            self._lost[partition] = position
            self.take_back(consumer, [partition])

    def discard(self, partitions: Collection[Partition]) -> None:
        """Drop partitions that were revoked or lost; the companions leave with the leader."""
        self._waiting.difference_update(partitions)
        for partition in partitions:
            self._lost.pop(partition, None)
        if self._leader in partitions:
            self._waiting = {p for p in self._waiting if p.topic not in self._companions}

    def begin(self, consumer: Consumer) -> bool:
        """Let `consumer` read those whose topic exists; return whether the broker told their offsets.

        Raises `Fatal` where no waiting helps.
        """
        existing = self._existing()
        if not existing:
            return False
        try:
            self._topic_ids.now()
            existing = self._existing()
            starts = self._starts(consumer, existing)
            _read_from(consumer, starts)
        except BrokerUnreachable as silence:
            self._delay(str(silence))
            return False
        except KafkaException as exception:
            error = error_of(exception)
            if not may_pass(error):
                raise Fatal(f"cannot begin to read: {error.str()}") from exception
            held = self._held(existing) if is_unreachable(error) else None
            self._delay(held or f"{error.name()}: {error.str()}")
            return False
        self._waiting.difference_update(existing)
        self._delay("")
        self._assign(consumer, starts)
        return True

    def _existing(self) -> list[Partition]:
        return sorted(p for p in self._waiting if not self._topic_ids.is_missing(p.topic))

    def _starts(self, consumer: Consumer, existing: Sequence[Partition]) -> dict[Partition, Start]:
        companions = self._companion_partitions(consumer) if self._leader in existing else []
        return self._start.of(consumer, toppars([*existing, *companions]), self._topic_ids, self._lost)

    def _assign(self, consumer: Consumer, starts: Mapping[Partition, Start]) -> None:
        offsets = {p: start.offset for p, start in starts.items()}
        ids = {p: start.topic_id for p, start in starts.items()}
        epochs = {p: start.leader_epoch for p, start in starts.items()}
        left = {p: start.left for p, start in starts.items() if start.left is not None}
        self._assignment.assign(offsets, self._assignment.lease.group_metadata, ids, left, epochs)
        halt_partitions(consumer, self._assignment, halts(starts))
        self._lost = {p: offset for p, offset in self._lost.items() if p not in starts}
        lost = losses(starts)
        if lost is not None:
            self._note(lost)
        self._note(ReadingBegins(offsets))

    def _companion_partitions(self, consumer: Consumer) -> list[Partition]:
        """Return all partitions of the companions that are not there yet.

        The group knows nothing of them but their offsets.
        """
        found = []
        for name in self._companions:
            topic = consumer.list_topics(name, timeout=_ADMIN_S).topics[name]
            if topic.error is not None:
                raise KafkaException(topic.error)
            found += [Partition(name, index) for index in topic.partitions]
        return [p for p in found if p not in self._assignment.positions and p not in self._waiting]

    def _delay(self, reason: str) -> None:
        """Note why the partitions are not read; once for each reason."""
        if reason != self._reason:
            self._reason = reason
            self._note(AssignmentDelayed(tuple(sorted(self._waiting)) if reason else (), reason))


def _read_from(consumer: Consumer, starts: Mapping[Partition, Start]) -> None:
    """Let `consumer` read these partitions, and ask whether their logs still have the records before.

    librdkafka asks that after a seek and after a change of the leader only (KIP-320). Raises `KafkaException`
    where it cannot seek, because it still lets go of other partitions: it reads none of these then.
    """
    places = [group_offset(p, s.offset, s.topic_id, s.leader_epoch) for p, s in starts.items()]
    consumer.incremental_assign(places)
    try:
        for place in places:
            if place.leader_epoch is not None:
                consumer.seek(place)
    except KafkaException:
        consumer.incremental_unassign(places)
        raise
