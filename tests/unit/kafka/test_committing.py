"""A commit uses the lease of its batch. The group's offsets decide about a commit without an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_infer.flow.errors import Aborted, Fatal
from stream_infer.flow.records import Channel, Cursor, Outcome, Output, Partition, Span
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.committing import Committer
from stream_infer.kafka.publish import CommitUnknown

A, B = Partition("events", 0), Partition("events", 1)
TOPIC = "predictions"


class FakeConsumer:
    """A consumer with the committed offsets of its group."""

    def __init__(self, committed: Mapping[Partition, int] | KafkaException) -> None:
        self._committed = committed
        self.errors: dict[Partition, KafkaError] = {}

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        if isinstance(self._committed, KafkaException):
            raise self._committed
        known = self._committed
        return [
            TopicPartition(p.topic, p.partition, known[Partition(p.topic, p.partition)]) for p in partitions
        ]


class FakePublisher:
    """A publisher that records its calls and raises `failure`, if given."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.published: list[tuple[list[str], list[tuple[int, int]], object]] = []
        self._failure = failure

    def open(self) -> None: ...

    def close(self) -> None: ...

    def publish(
        self,
        outputs: Sequence[tuple[str, Output]],
        offsets: list[TopicPartition],
        group_metadata: object,
        consumer: object,
    ) -> None:
        topics = [topic for topic, _ in outputs]
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


def committer(assignment: Assignment, publisher: FakePublisher, consumer: object = None) -> Committer:
    channels = {Channel.PREDICTIONS: TOPIC, Channel.DEAD_LETTERS: "dlq"}
    return Committer(consumer, publisher, assignment, channels)  # type: ignore[arg-type]


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


def test_a_commit_whose_result_stays_unknown_is_fatal() -> None:
    assignment = assigned()
    consumer = FakeConsumer(KafkaException(KafkaError(KafkaError._TIMED_OUT)))

    with pytest.raises(Fatal, match="stays unknown"):
        committer(assignment, FakePublisher(CommitUnknown("timed out")), consumer).commit(
            outcome(assignment.lease)
        )
