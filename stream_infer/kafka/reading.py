"""From a consumer to batches: records, errors in their place, and positions."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_infer.common.clock import unix_ms
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Fatal
from stream_infer.flow.events import LagMeasured, PartitionsHalted
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Batch, Partition
from stream_infer.kafka.assignment import Assignment, epoch_before
from stream_infer.kafka.broker_refusals import as_misconfigured
from stream_infer.kafka.columns import CHUNK, Gathered, partition_of
from stream_infer.kafka.error_policy import error_of
from stream_infer.kafka.rebalance import RebalanceListener
from stream_infer.kafka.topic_guard import TopicGuard
from stream_infer.kafka.topic_ids import NO_ID
from stream_infer.kafka.toppars import group_offset

# ruff: noqa: SLF001 - librdkafka's local errors have names with a leading underscore
_LAG_EVERY_S = 1.0
_CANNOT_READ = frozenset(
    {
        KafkaError._FATAL,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)


class MemberFenced(Exception):
    """The group has another member under the instance id of this consumer, which cannot be used any more."""


class BatchReader:
    """Reads the assigned partitions of one consumer, whose properties are `config`."""

    def __init__(
        self,
        consumer: Consumer,
        assignment: Assignment,
        rebalance: RebalanceListener,
        guard: TopicGuard,
        *,
        config: Mapping[str, object],
        observe: Observer,
        logger: logging.Logger,
    ) -> None:
        self._consumer = consumer
        self._assignment = assignment
        self._rebalance = rebalance
        self._guard = guard
        self._config = config
        self._observe = observe
        self._logger = logger
        self._lag_due = 0.0
        self._halted: Mapping[Partition, str] = {}

    def read(self, limit: int, max_bytes: int, wait_s: float) -> Batch | None:
        """Return up to `limit` records, or None when none came within `wait_s` seconds. See `Source.read`.

        The record that reaches `max_bytes` is the last one. Raises `MemberFenced` too.
        """
        self._guard.look()
        self._rebalance.begin_assigned(self._consumer)
        gathered = self._collect(limit, max_bytes, wait_s)
        self._report()
        if not len(gathered):
            return None
        self._guard.ask()
        return self._batch(gathered)

    def reposition(self, offsets: Mapping[Partition, int]) -> None:
        """Read on from `offsets`. A partition whose fetcher is not up yet cannot seek: assign it anew."""
        for partition, offset in offsets.items():
            epoch = epoch_before(self._assignment, partition, offset)
            target = group_offset(partition, offset, NO_ID, epoch)
            try:
                self._consumer.seek(target)
            except KafkaException:
                self._consumer.incremental_unassign([target])
                self._consumer.incremental_assign([target])
            self._assignment.reposition(partition, offset)

    def _collect(self, limit: int, max_bytes: int, wait_s: float) -> Gathered:
        """Return the records that came, and act on what came in their place."""
        gathered = Gathered(self._rebalance.topics)
        errors: list[tuple[KafkaError, Message]] = []
        try:
            for messages in self._chunks(limit, max_bytes, wait_s, gathered):
                self._sort(messages, gathered, errors)
        except KafkaException as exception:
            raise Fatal(f"cannot read: {error_of(exception).str()}") from exception
        finally:
            self._rebalance.raise_failure()
        for error, message in errors:
            self._on_error(error, message)
        touched = self._assignment.touched
        return self._without_touched(gathered) if touched and len(gathered) else gathered

    def _chunks(
        self, limit: int, max_bytes: int, wait_s: float, gathered: Gathered
    ) -> Iterator[list[Message]]:
        """Wait for a first record, then take all that were fetched: one `consume` may return a part only.

        `consume(n, timeout)` is never given a timeout: it may wait to fill n. Nor has it a limit in bytes: n
        follows from the size of what is `gathered` so far.
        """
        first = self._consumer.poll(wait_s)
        self._assignment.begin_read()
        messages = [] if first is None else [first]
        left = limit
        while messages:
            yield messages
            left -= len(messages)
            count = min(left, CHUNK, _count_within(max_bytes - gathered.size_bytes, gathered))
            messages = self._consumer.consume(count, 0) if count else []

    def _sort(
        self, messages: Sequence[Message], gathered: Gathered, errors: list[tuple[KafkaError, Message]]
    ) -> None:
        """Separate records, errors and end-of-partition marks."""
        ended = self._assignment.ended
        if not any(map(Message.error, messages)):
            gathered.add(messages)
            if ended:
                for partition in set(map(partition_of, messages)):
                    ended.pop(partition, None)
            return
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
                ended.pop(partition_of(message), None)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended[partition_of(message)] = message.offset() or 0
            else:
                errors.append((error, message))
        gathered.add(records)

    def _on_error(self, error: KafkaError, message: Message) -> None:
        """Act on an error that the consumer delivered in place of a record."""
        if error.code() == KafkaError._FATAL and "group.instance.id" in error.str():  # its code is not given
            raise MemberFenced(error.str())
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._rebalance.pending.take_back_lost(self._consumer, partition_of(message))
            return
        misconfigured = as_misconfigured(error, self._config)
        if misconfigured is not None:
            raise misconfigured
        if error.code() in _CANNOT_READ:
            raise Fatal(f"cannot read {message.topic() or 'the input'}: {error.str()}")
        self._logger.warning(LogEvent.CONSUMER_ERROR, extra={"reason": error.str()})

    def _without_touched(self, gathered: Gathered) -> Gathered:
        """Drop rows of partitions that a callback touched while these very rows were collected."""
        positions, touched = self._assignment.positions, self._assignment.touched
        self.reposition({p: positions[p] for p in touched if p in positions})
        return gathered.without(touched)

    def _batch(self, gathered: Gathered) -> Batch:
        lease, ended = self._assignment.lease, self._assignment.ended
        batch = gathered.batch(unix_ms(), lease=lease)
        positions = self._assignment.advance(batch.cursor.spans)
        return replace(
            batch,
            positions=positions,
            assignment=lease.epoch,
            topic_ids=dict(self._assignment.topic_ids),
            ended=frozenset(ended),
        )

    def _report(self) -> None:
        for change in self._rebalance.take_changes():
            self._observe(change)
        if self._assignment.halted != self._halted:
            self._halted = dict(self._assignment.halted)
            self._observe(PartitionsHalted(self._halted))
        now = time.monotonic()
        if now >= self._lag_due:
            self._lag_due = now + _LAG_EVERY_S
            self._observe(LagMeasured(self._lag()))

    def _lag(self) -> dict[Partition, int]:
        """How far behind the end, transaction markers included."""
        ends = {
            p: self._consumer.get_watermark_offsets(TopicPartition(p.topic, p.index), cached=True)
            for p in self._assignment.positions
        }
        return {p: max(0, end[1] - self._assignment.positions[p]) for p, end in ends.items()}


def _count_within(left_bytes: int, gathered: Gathered) -> int:
    """Return how many records of the size so far may still come; 0 when there are no bytes left."""
    mean_bytes = gathered.size_bytes / max(1, len(gathered))
    return max(1, int(left_bytes / max(1.0, mean_bytes))) if left_bytes > 0 else 0
