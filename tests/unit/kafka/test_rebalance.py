"""Rebalance callbacks keep the assignment, and never raise: the next read raises their failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.flow.events import AssignmentChanged, AssignmentDelayed, ReadingBegins
from stream_infer.flow.records import Partition, Span
from stream_infer.kafka.assignment import Assignment, epoch_before
from stream_infer.kafka.offsets import Start
from stream_infer.kafka.rebalance import RebalanceListener
from stream_infer.kafka.topic_ids import TopicIds
from stream_infer.kafka.toppars import resume_partitions
from tests.support.topic_ids import MISSING, ToldIds, topic_ids

LEAD, OTHER = Partition("frames", 0), Partition("frames", 1)
LABELS = [Partition("labels", index) for index in range(2)]


class FakeConsumer:
    """Records the calls about partitions, and lets a test run the rebalance callbacks."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[tuple[str, int, int]]]] = []
        self.callbacks: dict[str, Any] = {}
        self.generation = 0
        self.broken: KafkaError | None = None
        self.begin: Any = None
        self.seeks: list[tuple[int, int, int | None]] = []
        self.cannot_seek: list[KafkaException] = []

    def seek(self, place: TopicPartition) -> None:
        if self.cannot_seek:
            raise self.cannot_seek.pop()
        self.seeks.append((place.partition, place.offset, place.leader_epoch))

    def subscribe(self, topics: Sequence[str], **callbacks: object) -> None:
        assert topics == ["frames"]
        self.callbacks = dict(callbacks)

    def assigns(self, *partitions: Partition) -> None:
        self.callbacks["on_assign"](self, toppars(partitions))
        self.begin(self)

    def revokes(self, *partitions: Partition, how: str = "on_revoke") -> None:
        self.callbacks[how](self, toppars(partitions))

    def consumer_group_metadata(self) -> str:
        self.generation += 1
        return f"generation {self.generation}"

    def list_topics(self, name: str, timeout: float) -> Any:
        assert timeout > 0
        return SimpleNamespace(topics={name: SimpleNamespace(error=self.broken, partitions=[0, 1])})

    def __getattr__(self, name: str) -> Any:
        def call(partitions: Sequence[TopicPartition]) -> None:
            if partitions:
                self.calls.append((name, [(p.topic, p.partition, p.offset) for p in partitions]))

        return call


class FakeOffsets:
    """Start offsets: 5 for every partition, or a failure."""

    def __init__(self, failure: Exception | None = None, halted: str | None = None) -> None:
        self.failure = failure
        self.halted = halted
        self.epoch: int | None = None

    def of(
        self,
        _consumer: object,
        assigned: Sequence[TopicPartition],
        _topic_ids: TopicIds,
        lost: Mapping[Partition, int],
    ) -> Mapping[Partition, Start]:
        self.lost = dict(lost)
        if self.failure is not None:
            raise self.failure
        return {
            Partition(p.topic, p.partition): Start(5, self.halted, leader_epoch=self.epoch) for p in assigned
        }


def toppars(partitions: Sequence[Partition]) -> list[TopicPartition]:
    return [TopicPartition(p.topic, p.index) for p in partitions]


def joined(
    companions: Sequence[str] = (),
    failure: Exception | None = None,
    held: str | None = None,
    halted: str | None = None,
    ids: TopicIds | None = None,
) -> tuple[FakeConsumer, Assignment, RebalanceListener]:
    consumer, assignment = FakeConsumer(), Assignment()
    start: Any = FakeOffsets(failure, halted)
    listener = RebalanceListener(
        ["frames"], companions, start, assignment, ids or topic_ids({}), lambda _partitions: held
    )
    client: Any = consumer
    listener.subscribe(client)
    consumer.begin = listener.begin_assigned
    return consumer, assignment, listener


def test_an_assigned_partition_is_read_from_the_offset_of_the_group() -> None:
    consumer, assignment, listener = joined()

    consumer.assigns(LEAD, OTHER)

    assert consumer.calls == [("incremental_assign", [("frames", 0, 5), ("frames", 1, 5)])]
    assert assignment.positions == {LEAD: 5, OTHER: 5}
    assert assignment.lease.group_metadata == "generation 1"
    assert listener.take_changes() == [
        ReadingBegins({LEAD: 5, OTHER: 5}),
        AssignmentChanged("assigned", (LEAD, OTHER)),
    ]
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
    changes = [one for one in listener.take_changes() if isinstance(one, AssignmentChanged)]
    assert [one.kind for one in changes] == ["assigned", kind]
    assert consumer.calls[-1][0] == "incremental_unassign"


def test_a_paused_partition_is_resumed_before_it_is_unassigned() -> None:
    consumer, assignment, _ = joined()
    consumer.assigns(LEAD, OTHER)
    assignment.pause([OTHER])

    consumer.revokes(OTHER)

    assert [name for name, _ in consumer.calls] == ["incremental_assign", "resume", "incremental_unassign"]
    assert assignment.paused == set()


def test_a_partition_without_a_place_is_owned_and_paused_until_it_is_revoked() -> None:
    consumer, assignment, _ = joined(halted="offset 4 is not in the log")

    consumer.assigns(OTHER)
    assert (assignment.halted, assignment.paused) == ({OTHER: "offset 4 is not in the log"}, {OTHER})
    consumer.revokes(OTHER)

    names = [name for name, _ in consumer.calls if name != "incremental_assign"]
    assert names == ["pause", "resume", "incremental_unassign"]
    assert (assignment.halted, assignment.paused) == ({}, set())


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


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._TIMED_OUT])
def test_an_assignment_waits_for_a_companion_topic_that_cannot_be_read_now(code: int) -> None:
    consumer, assignment, listener = joined(["labels"])
    consumer.broken = KafkaError(code, "no labels")

    consumer.assigns(LEAD)
    assert assignment.positions == {}
    consumer.broken = None
    consumer.begin(consumer)

    assert set(assignment.positions) == {LEAD, *LABELS}
    assert [type(one) for one in listener.take_changes()] == [
        AssignmentDelayed,
        AssignmentDelayed,
        ReadingBegins,
        AssignmentChanged,
    ]


AWAY = KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION, "no leader"))
SILENT = KafkaException(KafkaError(KafkaError._TIMED_OUT, "no answer"))


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(BrokerUnreachable("no watermarks"), "no watermarks"), (AWAY, "no leader"), (SILENT, "no answer")],
)
def test_a_failure_that_may_pass_delays_the_assignment_and_is_told_once(
    failure: Exception, reason: str
) -> None:
    consumer, assignment, listener = joined(failure=failure)

    consumer.assigns(LEAD)
    consumer.begin(consumer)
    consumer.begin(consumer)

    assert assignment.positions == {}
    [told] = listener.take_changes()
    assert isinstance(told, AssignmentDelayed)
    assert told.waiting == (LEAD,)
    assert reason in told.reason


def test_a_transaction_that_holds_the_offsets_is_named_in_place_of_the_timeout() -> None:
    consumer, _, listener = joined(failure=SILENT, held="a transaction hangs")

    consumer.assigns(LEAD)

    assert listener.take_changes() == [AssignmentDelayed((LEAD,), "a transaction hangs")]


def test_a_broker_that_answers_is_not_asked_about_transactions() -> None:
    consumer, _, listener = joined(failure=AWAY, held="a transaction hangs")

    consumer.assigns(LEAD)

    [told] = listener.take_changes()
    assert isinstance(told, AssignmentDelayed)
    assert "no leader" in told.reason


def test_a_partition_that_is_revoked_before_its_offset_is_known_is_never_read() -> None:
    consumer, assignment, listener = joined(failure=AWAY)
    consumer.assigns(LEAD, OTHER)

    consumer.revokes(LEAD)
    vars(listener.pending)["_start"].failure = None
    consumer.begin(consumer)

    assert consumer.calls == [("incremental_assign", [("frames", 1, 5)])]
    assert set(assignment.positions) == {OTHER}


def test_a_right_that_is_missing_ends_the_read() -> None:
    denied = KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "denied"))
    consumer, _, _ = joined(failure=denied)

    with pytest.raises(Fatal, match="cannot begin to read: denied"):
        consumer.assigns(LEAD)


def test_an_assignment_is_committed_with_the_metadata_of_its_own_generation() -> None:
    consumer, assignment, listener = joined(failure=AWAY)
    consumer.assigns(LEAD)

    vars(listener.pending)["_start"].failure = None
    consumer.begin(consumer)

    assert assignment.lease.group_metadata == "generation 1"
    assert consumer.generation == 1


def test_no_callback_raises_whatever_fails_in_it() -> None:
    consumer, assignment, listener = joined()
    consumer.consumer_group_metadata = None  # type: ignore[assignment,method-assign]

    consumer.assigns(LEAD)

    assert assignment.lease.group_metadata is None
    with pytest.raises(Fatal, match="a change of the assignment failed"):
        listener.raise_failure()
    listener.raise_failure()  # once


def test_resume_calls_the_client_for_paused_partitions_only() -> None:
    consumer, assignment, _ = joined()
    consumer.assigns(LEAD, OTHER)
    client: Any = consumer

    resume_partitions(client, assignment, [LEAD])

    assert [name for name, _ in consumer.calls] == ["incremental_assign"]


def test_the_time_of_a_loss_counts_until_the_next_assignment() -> None:
    consumer, _, listener = joined()
    consumer.assigns(LEAD)
    consumer.revokes(LEAD)
    assert listener.lost_at is None

    consumer.assigns(LEAD)
    consumer.revokes(LEAD, how="on_lost")
    assert listener.lost_at is not None
    consumer.assigns()

    assert listener.lost_at is None


def test_partitions_of_a_topic_that_does_not_exist_wait_for_it_and_delay_nothing() -> None:
    broker = ToldIds({"frames": "a", "labels": MISSING})
    consumer, assignment, listener = joined(ids=topic_ids(broker))

    consumer.assigns(LEAD, LABELS[0])
    assert set(assignment.positions) == {LEAD}
    broker.told["labels"] = "b"
    vars(listener.pending)["_topic_ids"].now()
    consumer.begin(consumer)

    assert set(assignment.positions) == {LEAD, LABELS[0]}
    assert not [one for one in listener.take_changes() if isinstance(one, AssignmentDelayed)]


def test_partitions_that_are_taken_back_are_read_from_where_the_answer_says() -> None:
    consumer, assignment, listener = joined(["labels"])
    consumer.assigns(LEAD)
    lease, client = assignment.lease, cast(Consumer, consumer)
    assignment.advance({LEAD: Span(5, 9)})

    listener.pending.take_back(client, [LEAD])
    assert set(assignment.positions) == {*LABELS}
    listener.begin_assigned(client)

    assert assignment.positions == dict.fromkeys([LEAD, *LABELS], 5)
    assert assignment.lease.epoch > lease.epoch
    assert consumer.calls[-2:] == [
        ("incremental_unassign", [("frames", 0, -1001)]),
        ("incremental_assign", [("frames", 0, 5)]),
    ]


def test_companions_that_wait_leave_with_the_first_partition_of_the_first_topic() -> None:
    consumer, assignment, listener = joined(["labels"])
    consumer.assigns(LEAD)
    listener.pending.take_back(cast(Consumer, consumer), LABELS)

    consumer.revokes(LEAD)
    listener.begin_assigned(cast(Consumer, consumer))

    assert assignment.positions == {}


def test_an_offset_that_the_broker_refused_is_asked_for_as_lost() -> None:
    consumer, assignment, listener = joined()
    consumer.assigns(LEAD, OTHER)
    assignment.advance({LEAD: Span(5, 9)})
    client, offsets = cast(Consumer, consumer), vars(listener.pending)["_start"]

    listener.pending.take_back_lost(client, LEAD)
    listener.pending.take_back_lost(client, LABELS[0])  # it has moved away
    listener.begin_assigned(client)

    assert offsets.lost == {LEAD: 9}
    assert assignment.positions == {LEAD: 5, OTHER: 5}
    listener.pending.take_back(client, [LEAD])
    listener.begin_assigned(client)
    assert offsets.lost == {}


def test_the_epoch_before_a_committed_offset_is_compared_with_the_log() -> None:
    consumer, assignment, listener = joined()
    vars(listener.pending)["_start"].epoch = 3

    consumer.assigns(LEAD)

    assert consumer.seeks == [(0, 5, 3)]
    assert epoch_before(assignment, LEAD, 5) == 3


def test_a_partition_whose_epoch_cannot_be_compared_yet_is_not_read() -> None:
    consumer, assignment, listener = joined()
    vars(listener.pending)["_start"].epoch = 3
    consumer.cannot_seek.append(KafkaException(KafkaError(KafkaError._STATE, "not yet")))

    consumer.assigns(LEAD)
    assert (assignment.positions, consumer.calls[-1][0]) == ({}, "incremental_unassign")
    consumer.begin(consumer)

    assert (assignment.positions, consumer.seeks) == ({LEAD: 5}, [(0, 5, 3)])
