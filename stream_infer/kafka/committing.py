"""Commits the outcome of a batch: outputs and offsets through the publisher, under the batch's own lease."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream_infer.flow.errors import Aborted, Fatal
from stream_infer.flow.records import Channel, Cursor, Outcome, Output, Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.publish import CommitUnknown, Publisher
from stream_infer.kafka.toppars import toppars

_ADMIN_S = 10.0


class Committer:
    """Makes outcomes durable for one consumer. `channels` maps each channel to its topic."""

    def __init__(
        self,
        consumer: Consumer,
        publisher: Publisher,
        assignment: Assignment,
        channels: Mapping[Channel, str],
    ) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._assignment = assignment
        self._channels = channels

    def commit(self, outcome: Outcome) -> None:
        """Write the outputs and the offsets of `outcome`. See `Sink.commit`."""
        lease = self._assignment.check(outcome.cursor.lease)
        outputs: list[tuple[str, Output]] = [
            (self._channels[o.channel], o) for o in outcome.outputs if len(o)
        ]
        offsets = [TopicPartition(p.topic, p.index, s.next) for p, s in outcome.cursor.spans.items()]
        try:
            self._publisher.publish(outputs, offsets, lease.group_metadata, self._consumer)
        except CommitUnknown as unknown:
            self._resolve(outcome.cursor, unknown)

    def _resolve(self, cursor: Cursor, unknown: CommitUnknown) -> None:
        """Ask the group for the result of a commit without an answer. Outputs and offsets share it."""
        try:
            committed = self._consumer.committed(toppars(cursor.spans), timeout=_ADMIN_S)
        except KafkaException as exception:
            raise Fatal(f"the result of a commit stays unknown: {exception}") from unknown
        if any(c.error is not None for c in committed):
            raise Fatal(f"the result of a commit stays unknown: {committed}") from unknown
        done = {Partition(c.topic, c.partition): c.offset for c in committed}
        if all(done[p] >= span.next for p, span in cursor.spans.items()):
            return
        raise Aborted(str(unknown)) from unknown
