"""One member of a consumer group and its producer: the Source and the Sink of the online roles.

`assignment` keeps what the member owns, `rebalance` serves the group's callbacks, `reading` makes batches,
`committing` makes outcomes durable.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import Consumer

from stream_infer.flow.errors import Fatal
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.committing import Committer
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.publish import Publisher
from stream_infer.kafka.reading import BatchReader
from stream_infer.kafka.rebalance import RebalanceListener
from stream_infer.kafka.toppars import resume_partitions, toppars

MAX_BATCH_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """A complete librdkafka consumer configuration, the input topics, and the topic of each channel.

    A batch ends with the record that reaches `max_batch_bytes`. See `RebalanceListener` for `companions`.
    Batches say which partitions have ended only with `enable.partition.eof` in `consumer`.
    """

    consumer: Mapping[str, object]
    input_topics: Sequence[str]
    channels: Mapping[Channel, str]
    companions: Sequence[str] = ()
    max_batch_bytes: int = MAX_BATCH_BYTES


class _Member(NamedTuple):
    consumer: Consumer
    reader: BatchReader
    committer: Committer


class Session:
    """Reads batches and commits outcomes as one member of a group. One loop owns it."""

    def __init__(
        self,
        settings: SessionSettings,
        publisher: Publisher,
        start: StartOffsets,
        *,
        observe: Observer,
        logger: logging.Logger,
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._start = start
        self._observe = observe
        self._logger = logger
        self._assignment = Assignment()
        self._opened: _Member | None = None

    def open(self) -> None:
        """Fence the predecessor of this slot, then join the group.

        In this order: `init_transactions` aborts what the predecessor left open, which would block the fetch
        of committed offsets until its transaction timed out.
        """
        self._publisher.open()
        settings, assignment = self._settings, self._assignment
        consumer = Consumer(dict(settings.consumer), logger=self._logger)
        rebalance = RebalanceListener(settings.input_topics, settings.companions, self._start, assignment)
        topics = [*settings.input_topics, *settings.companions]
        self._opened = _Member(
            consumer,
            BatchReader(
                consumer,
                topics,
                assignment,
                rebalance,
                self._start,
                observe=self._observe,
                logger=self._logger,
            ),
            Committer(consumer, self._publisher, assignment, settings.channels),
        )
        self._start.begin_group(consumer, settings.input_topics)
        rebalance.subscribe(consumer)

    def close(self) -> None:
        """Leave the group and let the clients go. Idempotent; nothing is open, so nothing can be lost."""
        if self._opened is not None:
            self._opened.consumer.close()
            self._opened = None
        self._publisher.close()

    def read(self, limit: int, wait_s: float) -> Batch | None:
        return self._member.reader.read(limit, self._settings.max_batch_bytes, wait_s)

    def rewind(self, cursor: Cursor) -> None:
        """Go back to the first offset of each span still owned, and take the group's generation anew.

        Retaking the metadata here is safe: whatever ended the old generation is queued for a callback ahead
        of any record fetched after the seek.
        """
        owned = self._assignment.positions
        self._member.reader.reposition({p: s.first for p, s in cursor.spans.items() if p in owned})
        self._assignment.renew(self._member.consumer.consumer_group_metadata())

    @property
    def finished(self) -> bool:
        return False

    @property
    def paused(self) -> Collection[Partition]:
        return self._assignment.paused

    def pause(self, offsets: Mapping[Partition, int]) -> None:
        owned = {p: offset for p, offset in offsets.items() if p in self._assignment.positions}
        self._assignment.pause(owned)
        self._member.consumer.pause(toppars(owned))
        self._member.reader.reposition(owned)

    def resume(self, partitions: Collection[Partition]) -> None:
        resume_partitions(self._member.consumer, self._assignment, partitions)

    def commit(self, outcome: Outcome) -> None:
        self._member.committer.commit(outcome)

    @property
    def _member(self) -> _Member:
        if self._opened is None:
            raise Fatal("the session is not open")
        return self._opened
