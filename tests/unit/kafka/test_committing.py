"""A commit uses the lease of its batch. The group's offsets decide about a commit without an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_infer.flow.errors import Aborted, BrokerUnreachable, Fatal
from stream_infer.flow.records import Channel, Cursor, Outcome, Output, Partition, Span
from stream_infer.kafka.assignment import Assignment, epoch_before, passed_ends
from stream_infer.kafka.committing import Committer
from stream_infer.kafka.pending import PendingPartitions
from stream_infer.kafka.publish import CommitUnknown, Publisher
from stream_infer.kafka.topic_guard import TopicGuard
from stream_infer.kafka.topic_ids import TopicIds
from stream_infer.kafka.toppars import group_offset
from tests.support.topic_ids import MISSING, SILENT, ToldIds, topic_ids

A, B = Partition("events", 0), Partition("events", 1)
TOPIC = "predictions"
EPOCH = 4


class FakeConsumer:
    """A consumer with the committed offsets of its group, which it tells after the failures."""

    def __init__(
        self, committed: Mapping[Partition, int], *failures: KafkaException, topic_id: str = ""
    ) -> None:
        self._committed = committed
        self._topic_id = topic_id
        self.failures = list(failures)

    def position(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        return [TopicPartition(p.topic, p.partition, 9, "", EPOCH) for p in partitions]

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        if self.failures:
            raise self.failures.pop(0)
        known = self._committed
        places = [Partition(p.topic, p.partition) for p in partitions]
        return [group_offset(place, known[place], self._topic_id) for place in places]


class FakePublisher:
    """A publisher that records its calls and raises `failure`, if given."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.published: list[tuple[list[str], list[tuple[int, int]], object]] = []
        self.metadata: list[str] = []
        self.epochs: list[int | None] = []
        self._failure = failure

    def open(self) -> None: ...

    def close(self) -> None: ...

    def publish(
        self,
        outputs: Sequence[tuple[str, Output]],
        offsets: list[TopicPartition],
        group_metadata: object,
        consumer: object,
        confirm: Callable[[], None],
    ) -> None:
        confirm()
        topics = [topic for topic, _ in outputs]
        self.metadata = [o.metadata or "" for o in offsets]
        self.epochs = [o.leader_epoch for o in offsets]
        self.published.append((topics, [(o.partition, o.offset) for o in offsets], group_metadata))
        if self._failure is not None:
            raise self._failure


def assigned() -> Assignment:
    assignment = Assignment()
    assignment.assign({A: 0, B: 0}, "metadata of the read")
    return assignment


def outcome(lease: object) -> Outcome:
    outputs = [
        Output(Channel.PREDICTIONS, [0], [b"k"], [b"v"], [None]),
        Output(Channel.DEAD_LETTERS, [], [], [], []),
    ]
    return Outcome(Cursor({A: Span(0, 3), B: Span(0, 5)}, lease), outputs, 8, [], 0, "1.0.0")


def committer(
    assignment: Assignment,
    publisher: FakePublisher,
    consumer: object = None,
    *,
    stopping: bool = False,
    ids: TopicIds | None = None,
) -> Committer:
    channels = {Channel.PREDICTIONS: TOPIC, Channel.DEAD_LETTERS: "dlq"}
    client, port, unused = (
        cast(Consumer, consumer or FakeConsumer({})),
        cast(Publisher, publisher),
        cast(PendingPartitions, None),
    )
    guard = TopicGuard(client, assignment, unused, ids or topic_ids({}), lambda _event: None)
    return Committer(client, port, assignment, channels, guard, stopping=lambda: stopping)


def test_outputs_and_offsets_are_published_with_the_metadata_of_the_read() -> None:
    assignment, publisher = assigned(), FakePublisher()
    lease = assignment.lease
    assignment.renew("metadata of now")

    committer(assignment, publisher).commit(outcome(lease))

    assert publisher.published == [([TOPIC], [(0, 3), (1, 5)], "metadata of the read")]


def test_a_batch_of_an_older_epoch_is_not_published() -> None:
    assignment, publisher = assigned(), FakePublisher()
    lease = assignment.lease
    assignment.revoke([B])

    with pytest.raises(Aborted, match="older assignment"):
        committer(assignment, publisher).commit(outcome(lease))

    assert publisher.published == []


def test_a_commit_without_an_answer_succeeded_when_the_group_has_its_offsets() -> None:
    assignment = assigned()
    consumer = FakeConsumer({A: 3, B: 6})

    committer(assignment, FakePublisher(CommitUnknown("timed out")), consumer).commit(
        outcome(assignment.lease)
    )


def test_a_commit_without_an_answer_was_aborted_when_the_group_lacks_an_offset() -> None:
    assignment = assigned()
    consumer = FakeConsumer({A: 3, B: 4})

    with pytest.raises(Aborted, match="timed out"):
        committer(assignment, FakePublisher(CommitUnknown("timed out")), consumer).commit(
            outcome(assignment.lease)
        )


def test_a_lost_offset_that_the_group_still_has_is_no_commit_of_what_is_read_instead() -> None:
    """The log was truncated behind offset 1000, and is read from its first record."""
    assignment = Assignment()
    assignment.assign({A: 0, B: 0}, "metadata", left={A: 1_000})
    unknown = FakePublisher(CommitUnknown("timed out"))

    with pytest.raises(Aborted, match="timed out"):
        committer(assignment, unknown, FakeConsumer({A: 1_000, B: 5})).commit(outcome(assignment.lease))
    committer(assignment, unknown, FakeConsumer({A: 3, B: 5})).commit(outcome(assignment.lease))

    assert assignment.left == {}


def failure(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


def test_a_commit_without_an_answer_waits_for_a_broker_that_is_away() -> None:
    assignment = assigned()
    away = [failure(KafkaError._TIMED_OUT), failure(KafkaError.NOT_COORDINATOR)]
    consumer = FakeConsumer({A: 3, B: 5}, *away)

    committer(assignment, FakePublisher(CommitUnknown("timed out")), consumer).commit(
        outcome(assignment.lease)
    )

    assert consumer.failures == []


@pytest.mark.parametrize(
    ("code", "stopping", "raised"),
    [
        (KafkaError._TIMED_OUT, True, BrokerUnreachable),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, False, Fatal),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, True, Fatal),
    ],
)
def test_a_commit_whose_result_stays_unknown_ends_the_worker(
    code: int, raised: type[Fatal], *, stopping: bool
) -> None:
    """In order where a stop ends the waiting for a broker, else not."""
    assignment = assigned()
    unknown = FakePublisher(CommitUnknown("timed out"))
    made = committer(assignment, unknown, FakeConsumer({}, failure(code)), stopping=stopping)

    with pytest.raises(Fatal, match="stays unknown") as failed:
        made.commit(outcome(assignment.lease))

    assert type(failed.value) is raised


def test_a_commit_passes_the_markers_behind_its_records_and_those_of_other_partitions() -> None:
    assignment, publisher = assigned(), FakePublisher()
    assignment.advance({A: Span(0, 3)})
    assignment.ended.update({A: 4, B: 7})

    committer(assignment, publisher).commit(
        Outcome(Cursor({A: Span(0, 3)}, assignment.lease), [], 3, [], 0, "")
    )

    assert publisher.published == [([], [(0, 4), (1, 7)], "metadata of the read")]


def test_markers_are_passed_between_batches_too_and_never_records() -> None:
    assignment, publisher = assigned(), FakePublisher()
    assignment.advance({A: Span(0, 3)})
    assignment.ended.update({A: 4, B: 7})
    idle = committer(assignment, publisher)

    idle.commit_passed()
    idle.commit_passed()

    assert publisher.published == [([], [(1, 7)], "metadata of the read")]


def test_markers_wait_for_the_next_time_when_their_commit_was_aborted() -> None:
    assignment, publisher = assigned(), FakePublisher(Aborted("no broker"))
    assignment.ended[B] = 7

    committer(assignment, publisher).commit_passed()

    assert len(publisher.published) == 1
    assert passed_ends(assignment, assignment.committed) == {B: 7}


def of_topic(topic_id: str) -> Assignment:
    assignment = Assignment()
    assignment.assign({A: 0, B: 0}, "metadata of the read", {A: topic_id, B: topic_id})
    return assignment


def test_offsets_are_committed_with_the_id_of_their_topic() -> None:
    assignment, publisher, ids = of_topic("x"), FakePublisher(), topic_ids({"events": "x"})
    ids.ask()

    committer(assignment, publisher, ids=ids).commit(outcome(assignment.lease))

    assert publisher.metadata == ["topic_id=x", "topic_id=x"]
    assert publisher.epochs == [EPOCH, EPOCH]
    assert epoch_before(assignment, A, 3) == EPOCH
    assert ids.used == {"events": "x"}


@pytest.mark.parametrize("told", ["y", MISSING, SILENT])
def test_a_batch_whose_topic_may_have_been_recreated_since_is_not_published(told: str | KafkaError) -> None:
    assignment, publisher = of_topic("x"), FakePublisher()
    ids = topic_ids({"events": told}, stopping=told is SILENT)
    ids.ask()

    with pytest.raises(Aborted, match=r"was deleted or recreated|no broker tells the ids of events"):
        committer(assignment, publisher, ids=ids).commit(outcome(assignment.lease))

    assert publisher.published == []


def test_a_broker_without_topic_ids_changes_nothing() -> None:
    assignment, publisher, broker = (
        of_topic(""),
        FakePublisher(),
        ToldIds({"events": "AAAAAAAAAAAAAAAAAAAAAA"}),
    )
    ids = topic_ids(broker)
    ids.ask()

    committer(assignment, publisher, ids=ids).commit(outcome(assignment.lease))

    assert publisher.metadata == ["", ""]


def test_markers_between_batches_are_passed_only_in_the_topic_that_they_were_read_from() -> None:
    assignment, publisher, broker = of_topic("x"), FakePublisher(), ToldIds({"events": "y"})
    assignment.ended[B] = 7

    committer(assignment, publisher, ids=topic_ids(broker)).commit_passed()

    assert (publisher.published, broker.asked) == ([], 1)


def test_a_commit_without_an_answer_is_not_taken_for_one_in_a_topic_that_is_gone() -> None:
    assignment, unknown = of_topic("x"), FakePublisher(CommitUnknown("timed out"))
    earlier = FakeConsumer({A: 3, B: 5}, topic_id="w")

    with pytest.raises(Aborted, match="timed out"):
        committer(assignment, unknown, earlier).commit(outcome(assignment.lease))
