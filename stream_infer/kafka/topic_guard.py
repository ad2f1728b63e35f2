"""Keeps the offsets of one topic away from another one that was created later under the same name.

The ids of the topics are asked for after each read, and answered before its commit (`confirm`): while the
step and the transaction are under way. Without records they are asked for every two seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import Consumer

from stream_infer.flow.errors import Aborted, BrokerUnreachable
from stream_infer.flow.events import TopicsMissing
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.pending import PendingPartitions
from stream_infer.kafka.topic_ids import NO_ID, TopicIds, differs

_ASK_EVERY_S = 2.0


class TopicGuard:
    """Compares the owned partitions of one consumer with the topics of now.

    A partition whose topic was deleted or recreated is not read until it is known where: see
    `PendingPartitions`.
    """

    def __init__(
        self,
        consumer: Consumer,
        assignment: Assignment,
        pending: PendingPartitions,
        topic_ids: TopicIds,
        observe: Observer,
    ) -> None:
        self._consumer = consumer
        self._assignment = assignment
        self._pending = pending
        self._topic_ids = topic_ids
        self._observe = observe
        self._missing: tuple[str, ...] = ()

    def ask(self) -> None:
        """Ask for the ids. Call it when records were read: `confirm` waits for the answer."""
        self._topic_ids.ask()

    def look(self) -> None:
        """Take back the partitions whose topic was deleted or recreated, as far as that is known by now."""
        self._topic_ids.look()
        if time.monotonic() - self._topic_ids.asked_at > _ASK_EVERY_S:
            self._topic_ids.ask()
        found = self._topic_ids.found
        missing = tuple(sorted(topic for topic, topic_id in found.items() if topic_id is None))
        if missing != self._missing:
            self._missing = missing
            self._observe(TopicsMissing(missing))
        outdated = self._outdated()
        if outdated:
            self._pending.take_back(self._consumer, outdated)

    def confirm(self) -> None:
        """Raise `Aborted` unless what was read before `ask` is of the topics that the offsets belong to."""
        try:
            self._topic_ids.wait()
        except BrokerUnreachable as silence:
            raise Aborted(str(silence)) from silence
        outdated = self._outdated()
        if outdated:
            names = ", ".join(sorted({p.topic for p in outdated}))
            raise Aborted(f"{names} was deleted or recreated since the batch was read")

    def committed(self, partitions: Iterable[Partition]) -> None:
        """Note that the group has offsets of these partitions under their present ids."""
        ids = self._assignment.topic_ids
        self._topic_ids.used.update({p.topic: ids[p] for p in partitions if p in ids})

    def _outdated(self) -> list[Partition]:
        found = self._topic_ids.found
        return [
            p
            for p in self._assignment.positions
            if differs(self._assignment.topic_ids.get(p), found.get(p.topic, NO_ID))
        ]
