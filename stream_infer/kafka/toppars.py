"""Partitions as the client names them."""

from __future__ import annotations

from collections.abc import Collection

from confluent_kafka import Consumer, TopicPartition

from stream_infer.flow.records import Partition
from stream_infer.kafka.assignment import Assignment


def resume_partitions(consumer: Consumer, assignment: Assignment, partitions: Collection[Partition]) -> None:
    """Let `consumer` read those of `partitions` again that are paused."""
    resumed = assignment.resume(partitions)
    if resumed:
        consumer.resume(toppars(resumed))


def toppars(partitions: Collection[Partition]) -> list[TopicPartition]:
    """Return `partitions` as the client names them."""
    return [TopicPartition(p.topic, p.index) for p in partitions]
