"""Rebalance callbacks keep the assignment, and never raise: the next read raises their failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.flow.events import AssignmentChanged
from stream_infer.flow.records import Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.rebalance import RebalanceListener
from stream_infer.kafka.toppars import resume_partitions

LEAD, OTHER = Partition("frames", 0), Partition("frames", 1)
LABELS = [Partition("labels", index) for index in range(2)]


class FakeConsumer:
    """Records the calls about partitions, and lets a test run the rebalance callbacks."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[tuple[str, int, int]]]] = []
        self.callbacks: dict[str, Any] = {}
        self.generation = 0
        self.broken: str | None = None

    def subscribe(self, topics: Sequence[str], **callbacks: object) -> None:
        assert topics == ["frames"]
        self.callbacks = dict(callbacks)

    def assigns(self, *partitions: Partition) -> None:
        self.callbacks["on_assign"](self, toppars(partitions))

    def revokes(self, *partitions: Partition, how: str = "on_revoke") -> None:
        self.callbacks[how](self, toppars(partitions))

    def consumer_group_metadata(self) -> str:
        self.generation += 1
        return f"generation {self.generation}"

    def list_topics(self, name: str, timeout: float) -> Any:
        assert timeout > 0
        failure = None if self.broken is None else SimpleNamespace(str=lambda: self.broken)
        return SimpleNamespace(topics={name: SimpleNamespace(error=failure, partitions=[0, 1])})

    def __getattr__(self, name: str) -> Any:
        def call(partitions: Sequence[TopicPartition]) -> None:
            self.calls.append((name, [(p.topic, p.partition, p.offset) for p in partitions]))

        return call


class FakeOffsets:
    """Start offsets: 5 for every partition, or a failure."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure

    def of(self, _consumer: object, assigned: Sequence[TopicPartition]) -> Mapping[Partition, int]:
        if self.failure is not None:
            raise self.failure
        return {Partition(p.topic, p.partition): 5 for p in assigned}


def toppars(partitions: Sequence[Partition]) -> list[TopicPartition]:
    return [TopicPartition(p.topic, p.index) for p in partitions]


def joined(
    companions: Sequence[str] = (), failure: Exception | None = None
) -> tuple[FakeConsumer, Assignment, RebalanceListener]:
    consumer, assignment = FakeConsumer(), Assignment()
    start: Any = FakeOffsets(failure)
    listener = RebalanceListener(["frames"], companions, start, assignment)
    client: Any = consumer
    listener.subscribe(client)
    return consumer, assignment, listener


def test_an_assigned_partition_is_read_from_the_offset_of_the_group() -> None:
    consumer, assignment, listener = joined()

    consumer.assigns(LEAD, OTHER)

    assert consumer.calls == [("incremental_assign", [("frames", 0, 5), ("frames", 1, 5)])]
    assert assignment.positions == {LEAD: 5, OTHER: 5}
    assert assignment.lease.group_metadata == "generation 1"
    assert listener.take_changes() == [AssignmentChanged("assigned", (LEAD, OTHER))]
    assert listener.take_changes() == []


@pytest.mark.parametrize(("callback", "kind"), [("on_revoke", "revoked"), ("on_lost", "lost")])
def test_a_revoked_or_lost_partition_is_unassigned_and_ends_the_epoch(callback: str, kind: str) -> None:
    consumer, assignment, listener = joined()
    consumer.assigns(LEAD, OTHER)
    lease = assignment.lease

    consumer.revokes(OTHER, how=callback)

    assert assignment.positions == {LEAD: 5}
    assert (assignment.lease.epoch, assignment.lease.group_metadata) == (
        lease.epoch + 1,
        lease.group_metadata,
    )
    assert [one.kind for one in listener.take_changes()] == ["assigned", kind]
    assert consumer.calls[-1][0] == "incremental_unassign"


def test_a_paused_partition_is_resumed_before_it_is_unassigned() -> None:
    consumer, assignment, _ = joined()
    consumer.assigns(LEAD, OTHER)
    assignment.pause([OTHER])

    consumer.revokes(OTHER)

    assert [name for name, _ in consumer.calls] == ["incremental_assign", "resume", "incremental_unassign"]
    assert assignment.paused == set()


def test_the_first_partition_of_the_first_topic_brings_all_companion_topics() -> None:
    consumer, assignment, _ = joined(["labels"])

    consumer.assigns(OTHER)
    assert set(assignment.positions) == {OTHER}
    consumer.assigns(LEAD)

    assert set(assignment.positions) == {LEAD, OTHER, *LABELS}


def test_companion_topics_leave_with_the_first_partition_of_the_first_topic() -> None:
    consumer, assignment, _ = joined(["labels"])
    consumer.assigns(LEAD, OTHER)

    consumer.revokes(OTHER)
    assert set(assignment.positions) == {LEAD, *LABELS}
    consumer.revokes(LEAD)

    assert assignment.positions == {}


def test_an_unreadable_companion_topic_fails_the_next_read() -> None:
    consumer, _, listener = joined(["labels"])
    consumer.broken = "unknown topic"

    consumer.assigns(LEAD)

    with pytest.raises(Fatal, match="cannot read labels: unknown topic"):
        listener.raise_failure()
    listener.raise_failure()  # once


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (BrokerUnreachable("no watermarks"), BrokerUnreachable),
        (RuntimeError("bug"), Fatal),
    ],
)
def test_no_callback_raises_whatever_fails_in_it(failure: Exception, raised: type[Exception]) -> None:
    consumer, assignment, listener = joined(failure=failure)

    consumer.assigns(LEAD)

    assert assignment.positions == {}
    with pytest.raises(raised, match=str(failure)):
        listener.raise_failure()


def test_resume_calls_the_client_for_paused_partitions_only() -> None:
    consumer, assignment, _ = joined()
    consumer.assigns(LEAD, OTHER)
    client: Any = consumer

    resume_partitions(client, assignment, [LEAD])

    assert [name for name, _ in consumer.calls] == ["incremental_assign"]
