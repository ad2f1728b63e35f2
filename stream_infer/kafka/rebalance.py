"""The rebalance callbacks of a group member: they note what happened, ask nobody, and never raise.

librdkafka calls them inside `poll` and `consume`, never between a read and its commit. An exception out of
`consume()` would lose the messages that it had fetched, so a failure is kept for the read to raise. The first
offsets of assigned partitions are asked for outside of the callbacks, for as long as it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, TopicPartition

from stream_infer.flow.errors import Fatal, StreamInferError
from stream_infer.flow.events import AssignmentChanged, AssignmentDelayed, OffsetsLost, ReadingBegins
from stream_infer.flow.records import Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.pending import Holding, PendingPartitions
from stream_infer.kafka.topic_ids import TopicIds
from stream_infer.kafka.toppars import release_partitions

Change = AssignmentChanged | AssignmentDelayed | ReadingBegins | OffsetsLost


class RebalanceListener:
    """Keeps an `Assignment` equal to what the group assigns.

    The owner of partition 0 of the first topic also reads all partitions of the `companions`: a group assigns
    each topic by itself, and a step that joins two of them needs both in one place. `topics` are all of them.

    `pending` has the assigned partitions that are not read yet. `held` tells of a transaction that holds the
    committed offsets. `assigned_at` is the time of the first assignment, `lost_at` that of a loss after which
    nothing was assigned (monotonic clock, seconds).
    """

    def __init__(
        self,
        topics: Sequence[str],
        companions: Sequence[str],
        start: StartOffsets,
        assignment: Assignment,
        topic_ids: TopicIds,
        held: Holding,
    ) -> None:
        self._topics = list(topics)
        self.topics = [*topics, *companions]
        self._leader = Partition(topics[0], 0)
        self._companions = companions
        self._assignment = assignment
        self._changes: list[Change] = []
        self.pending = PendingPartitions(
            self._leader, companions, start, assignment, topic_ids, self._changes.append, held
        )
        self.assigned_at: float | None = None
        self.lost_at: float | None = None
        self._failure: StreamInferError | None = None

    def subscribe(self, consumer: Consumer) -> None:
        """Join the group: its callbacks are served from now on."""
        consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def take_changes(self) -> Sequence[Change]:
        """Return the changes since the last call."""
        changes = list(self._changes)
        self._changes.clear()
        return changes

    def raise_failure(self) -> None:
        """Raise the failure of a callback since the last call, if there was one."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def begin_assigned(self, consumer: Consumer) -> None:
        """Read the assigned partitions from the offsets of the group, if the broker tells them.

        Until then they are not read, and the others go on. Raises `Fatal` where no waiting helps.
        """
        if self.pending and self.pending.begin(consumer):
            self._note("assigned")

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        self._guard(lambda: self._assign(consumer, assigned))

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._guard(lambda: self._unassign(consumer, revoked, "revoked"))

    def _on_lost(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        self.lost_at = time.monotonic()
        self._guard(lambda: self._unassign(consumer, lost, "lost"))

    def _guard(self, change: Callable[[], None]) -> None:
        try:
            change()
        except StreamInferError as failure:
            self._failure = failure
        except Exception as failure:  # noqa: BLE001 - raised again by the read that served this callback
            self._failure = Fatal(f"a change of the assignment failed: {failure}")

    def _assign(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> None:
        consumer.incremental_assign([])  # else the client would assign them itself, at offsets of its own
        self._assignment.assign({}, consumer.consumer_group_metadata())
        self.assigned_at = self.assigned_at or time.monotonic()
        self.lost_at = None
        self.pending.add(Partition(tp.topic, tp.partition) for tp in assigned)
        if not self.pending:
            self._note("assigned")

    def _unassign(self, consumer: Consumer, gone: Sequence[TopicPartition], kind: str) -> None:
        partitions = [Partition(tp.topic, tp.partition) for tp in gone]
        self.pending.discard(partitions)
        if self._leader in partitions:
            partitions += [p for p in self._assignment.positions if p.topic in self._companions]
        release_partitions(
            consumer, self._assignment, [p for p in partitions if p in self._assignment.positions]
        )
        self._note(kind)

    def _note(self, kind: str) -> None:
        self._changes.append(AssignmentChanged(kind, tuple(sorted(self._assignment.positions))))
