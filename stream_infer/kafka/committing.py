"""Commits the outcome of a batch: outputs and offsets through the publisher, under the batch's own lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, TopicPartition

from stream_infer.flow.errors import Aborted, BrokerUnreachable, Fatal
from stream_infer.flow.records import Channel, Cursor, Outcome, Output, Partition, Span
from stream_infer.kafka.assignment import Assignment, passed_ends
from stream_infer.kafka.error_policy import error_of, may_pass
from stream_infer.kafka.publish import CommitUnknown, Publisher
from stream_infer.kafka.topic_guard import TopicGuard
from stream_infer.kafka.topic_ids import NO_ID, differs
from stream_infer.kafka.toppars import group_offset, topic_id_of, toppars

_ADMIN_S = 5.0


class Committer:
    """Makes outcomes durable for one consumer.

    `channels` maps each channel to its topic; `stopping` ends the waiting for a broker that is silent.
    """

    def __init__(
        self,
        consumer: Consumer,
        publisher: Publisher,
        assignment: Assignment,
        channels: Mapping[Channel, str],
        guard: TopicGuard,
        *,
        stopping: Callable[[], bool],
    ) -> None:
        self._consumer = consumer
        self._publisher = publisher
        self._assignment = assignment
        self._channels = channels
        self._guard = guard
        self._stopping = stopping

    def commit(self, outcome: Outcome) -> None:
        """Write the outputs and the offsets of `outcome`. See `Sink.commit`."""
        lease = self._assignment.check(outcome.cursor.lease)
        outputs: list[tuple[str, Output]] = [
            (self._channels[o.channel], o) for o in outcome.outputs if len(o)
        ]
        reached = {p: span.next for p, span in outcome.cursor.spans.items()}
        reached |= passed_ends(self._assignment, self._assignment.committed | reached)
        offsets = self._group_offsets(reached)
        try:
            self._publisher.publish(
                outputs, offsets, lease.group_metadata, self._consumer, self._guard.confirm
            )
        except CommitUnknown as unknown:
            self._resolve(outcome.cursor, unknown)
        self._assignment.commit(reached, {p: o.leader_epoch for p, o in zip(reached, offsets, strict=True)})
        self._guard.committed(reached)

    def commit_passed(self) -> None:
        """Commit past the markers and aborted records at the ends of logs, between two batches.

        Retention deletes them too: an offset before them would look as if records had been lost.
        """
        committed = self._assignment.committed
        passed = {p: Span(committed[p], end) for p, end in passed_ends(self._assignment, committed).items()}
        if passed:
            self._guard.ask()
            with suppress(Aborted):  # tried again after the next read
                self.commit(Outcome(Cursor(passed, self._assignment.lease), [], 0, [], 0, ""))

    def _group_offsets(self, reached: Mapping[Partition, int]) -> list[TopicPartition]:
        ids = self._assignment.topic_ids
        read = self._consumer.position(toppars(reached))
        return [
            group_offset(p, offset, ids.get(p, NO_ID), place.leader_epoch)
            for (p, offset), place in zip(reached.items(), read, strict=True)
        ]

    def _resolve(self, cursor: Cursor, unknown: CommitUnknown) -> None:
        """Ask the group for the result of a commit without an answer. Outputs and offsets share it.

        An offset beyond the batch is done too: then another member has answered its records, or those behind
        it. One that was lost before, and that the group still has, says nothing.
        """
        done, assignment = self._committed(cursor, unknown), self._assignment
        if all(
            done[p].offset >= span.next
            and done[p].offset != assignment.left.get(p)
            and not differs(topic_id_of(done[p]), assignment.topic_ids.get(p, NO_ID))
            for p, span in cursor.spans.items()
        ):
            return
        raise Aborted(str(unknown)) from unknown

    def _committed(self, cursor: Cursor, unknown: CommitUnknown) -> dict[Partition, TopicPartition]:
        """Return the committed offsets of the spans of `cursor`, for which a broker may be waited for.

        Raises `BrokerUnreachable` when a stop ends the waiting; the next start reads the offsets.
        """
        while True:
            committed: list[TopicPartition] = []
            try:
                committed = self._consumer.committed(toppars(cursor.spans), timeout=_ADMIN_S)
                errors = [c.error for c in committed if c.error is not None]
            except KafkaException as exception:
                errors = [error_of(exception)]
            if not errors:
                return {Partition(c.topic, c.partition): c for c in committed}
            reason = f"the result of a commit stays unknown: {errors[0].str()}"
            if not all(map(may_pass, errors)):
                raise Fatal(reason) from unknown
            if self._stopping():
                raise BrokerUnreachable(reason) from unknown
