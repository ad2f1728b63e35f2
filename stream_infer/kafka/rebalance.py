"""The rebalance callbacks of a group member: they note what happened, and never raise.

librdkafka calls them inside `poll` and `consume`, never between a read and its commit. An exception out of
`consume()` would lose the messages that it had fetched, so a failure is kept for the read to raise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, TopicPartition

from stream_infer.flow.errors import Fatal, StreamInferError
from stream_infer.flow.events import AssignmentChanged
from stream_infer.flow.records import Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.toppars import resume_partitions, toppars

_ADMIN_S = 10.0


class RebalanceListener:
    """Keeps an `Assignment` equal to what the group assigns.

    The owner of partition 0 of the first topic also reads all partitions of the `companions`: a group assigns
    each topic by itself, and a step that joins two of them needs both in one place.
    """

    def __init__(
        self, topics: Sequence[str], companions: Sequence[str], start: StartOffsets, assignment: Assignment
    ) -> None:
        self._topics = list(topics)
        self._leader = (topics[0], 0)
        self._companions = companions
        self._start = start
        self._assignment = assignment
        self._changes: list[AssignmentChanged] = []
        self._failure: StreamInferError | None = None

    def subscribe(self, consumer: Consumer) -> None:
        """Join the group: its callbacks are served from now on."""
        consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def take_changes(self) -> Sequence[AssignmentChanged]:
        """Return the changes since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def raise_failure(self) -> None:
        """Raise the failure of a callback since the last call, if there was one."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        self._guard(lambda: self._assign(consumer, assigned))

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._guard(lambda: self._unassign(consumer, revoked, "revoked"))

    def _on_lost(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        self._guard(lambda: self._unassign(consumer, lost, "lost"))

    def _guard(self, change: Callable[[], None]) -> None:
        try:
            change()
        except StreamInferError as failure:
            self._failure = failure
        except Exception as failure:  # noqa: BLE001 - raised again by the read that served this callback
            self._failure = Fatal(f"a change of the assignment failed: {failure}")

    def _assign(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> None:
        companions = self._companion_partitions(consumer) if self._leader in map(_key, assigned) else []
        offsets = self._start.of(consumer, [*assigned, *companions])
        consumer.incremental_assign([TopicPartition(p.topic, p.index, o) for p, o in offsets.items()])
        self._assignment.assign(offsets, consumer.consumer_group_metadata())
        self._note("assigned")

    def _unassign(self, consumer: Consumer, gone: Sequence[TopicPartition], kind: str) -> None:
        partitions = [Partition(tp.topic, tp.partition) for tp in gone]
        if self._leader in map(_key, gone):
            partitions += [p for p in self._assignment.positions if p.topic in self._companions]
        # librdkafka keeps a pause beyond an assignment.
        resume_partitions(consumer, self._assignment, partitions)
        self._assignment.revoke(partitions)
        consumer.incremental_unassign(toppars(partitions))
        self._note(kind)

    def _companion_partitions(self, consumer: Consumer) -> list[TopicPartition]:
        """Return all partitions of the companions. The group knows nothing of them but their offsets."""
        found = []
        for name in self._companions:
            topic = consumer.list_topics(name, timeout=_ADMIN_S).topics[name]
            if topic.error is not None:
                raise Fatal(f"cannot read {name}: {topic.error.str()}")
            found += [TopicPartition(name, index) for index in topic.partitions]
        return found

    def _note(self, kind: str) -> None:
        self._changes.append(AssignmentChanged(kind, tuple(sorted(self._assignment.positions))))


def _key(one: TopicPartition) -> tuple[str, int]:
    return one.topic, one.partition
