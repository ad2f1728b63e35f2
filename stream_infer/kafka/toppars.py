"""Partitions as the client names them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from confluent_kafka import Consumer, TopicPartition

from stream_infer.flow.records import Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.topic_ids import NO_ID

_TOPIC_ID = "topic_id="
_NO_EPOCH = -1


def resume_partitions(consumer: Consumer, assignment: Assignment, partitions: Collection[Partition]) -> None:
    """Let `consumer` read those of `partitions` again that are paused."""
    resumed = assignment.resume(partitions)
    if resumed:
        consumer.resume(toppars(resumed))


def release_partitions(consumer: Consumer, assignment: Assignment, partitions: Collection[Partition]) -> None:
    """Let `consumer` read these owned partitions no longer, and `assignment` own them no longer."""
    # librdkafka keeps a pause beyond an assignment.
    paused = assignment.paused.intersection(partitions)
    assignment.revoke(partitions)
    if paused:
        consumer.resume(toppars(paused))
    consumer.incremental_unassign(toppars(partitions))


def halt_partitions(consumer: Consumer, assignment: Assignment, reasons: Mapping[Partition, str]) -> None:
    """Let `consumer` leave these partitions unread until they are revoked."""
    if reasons:
        assignment.halted.update(reasons)
        assignment.pause(reasons)
        consumer.pause(toppars(reasons))


def group_offset(
    partition: Partition, offset: int, topic_id: str, leader_epoch: int | None = None
) -> TopicPartition:
    """Return an offset to commit; the metadata of the commit say to which topic it belongs.

    `leader_epoch` is that of the record before it: a log that was truncated since has another one there
    (KIP-320).
    """
    metadata = f"{_TOPIC_ID}{topic_id}" if topic_id else ""
    epoch = _NO_EPOCH if leader_epoch is None else leader_epoch
    return TopicPartition(partition.topic, partition.index, offset, metadata, epoch)


def topic_id_of(committed: TopicPartition) -> str:
    """Return the id of the topic that a committed offset belongs to; `NO_ID` where its metadata have none.

    Other tools, brokers without ids and earlier releases of the worker commit none.
    """
    metadata = committed.metadata or ""
    return metadata.removeprefix(_TOPIC_ID) if metadata.startswith(_TOPIC_ID) else NO_ID


def toppars(partitions: Collection[Partition]) -> list[TopicPartition]:
    """Return `partitions` as the client names them."""
    return [TopicPartition(p.topic, p.index) for p in partitions]
