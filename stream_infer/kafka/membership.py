"""A member of a consumer group: its consumer, and the parts that read and commit with it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer

from stream_infer.flow.events import GroupBegun
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Channel, Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.client import telling
from stream_infer.kafka.committing import Committer
from stream_infer.kafka.held_offsets import has_group_begun, holding_transaction
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.publish import Publisher
from stream_infer.kafka.reading import BatchReader
from stream_infer.kafka.rebalance import RebalanceListener
from stream_infer.kafka.topic_guard import TopicGuard
from stream_infer.kafka.topic_ids import TopicIds

MAX_BATCH_BYTES = 64 * 2**20
_SESSION_TIMEOUT_MS = 45_000  # librdkafka's default
_LEAVES_WITHIN_S = 5.0
_SERVES_S = 0.05
_STRANDED_SESSIONS = 2


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """A complete librdkafka consumer configuration, the input topics, and the topic of each channel.

    A batch ends with the record that reaches `max_batch_bytes`. See `RebalanceListener` for `companions`.
    """

    consumer: Mapping[str, object]
    input_topics: Sequence[str]
    channels: Mapping[Channel, str]
    companions: Sequence[str] = ()
    max_batch_bytes: int = MAX_BATCH_BYTES

    @property
    def session_timeout_s(self) -> float:
        """The time after which the group takes a silent member for dead, in seconds."""
        return float(str(self.consumer.get("session.timeout.ms", _SESSION_TIMEOUT_MS))) / 1000


@dataclass(frozen=True, slots=True)
class Membership:
    """A member that has asked to join. Its parts share one assignment.

    `is_first` says that the session had no member before.
    """

    is_first: bool
    consumer: Consumer
    rebalance: RebalanceListener
    assignment: Assignment
    guard: TopicGuard
    reader: BatchReader
    committer: Committer

    def has_rival(self, session_timeout_s: float) -> bool:
        """Return whether another worker has fenced this member.

        The broker fences a static member when it sees a second join under its instance id. After a silence
        both can come from this very process, where the answer to the first one was lost. But a process joins
        a second time only after its session has timed out. So a member that joined to replace a fenced one,
        and is fenced itself before its session can time out, was fenced by somebody else.
        """
        assigned_at = self.rebalance.assigned_at
        if self.is_first or assigned_at is None:
            return False
        return time.monotonic() - assigned_at < session_timeout_s

    def is_stranded(self, session_timeout_s: float) -> bool:
        """Return whether this member has lost its partitions and does not get back into its group.

        librdkafka joins again by itself; after a silence it was seen without a coordinator for minutes.
        """
        lost_at = self.rebalance.lost_at
        return lost_at is not None and time.monotonic() - lost_at > _STRANDED_SESSIONS * session_timeout_s

    def leave(self, within_s: float = _LEAVES_WITHIN_S) -> None:
        """Close the consumer. It is left behind when librdkafka does not close it `within_s` seconds.

        A static member stays in its group until its session ends.
        """
        closing = threading.Thread(target=self._close, name="consumer-close", daemon=True)
        closing.start()
        closing.join(within_s)

    def _close(self) -> None:
        """Serve an assignment that waits, then close.

        One that `close` itself served was seen waiting in librdkafka for ever.
        """
        self.consumer.poll(_SERVES_S)
        self.consumer.close()


@dataclass(frozen=True, slots=True)
class Joining:
    """What each member of a session is made of. `stopping` ends the waiting for a broker that is silent."""

    settings: SessionSettings
    publisher: Publisher
    start: StartOffsets
    topic_ids: TopicIds
    stopping: Callable[[], bool]
    observe: Observer
    logger: logging.Logger

    def join(self, epoch: int) -> Membership:
        """Join the group with a new consumer, whose assignment begins with `epoch`.

        The first member of a session gives a group without offsets those of `start` before.
        """
        settings, assignment, topic_ids = self.settings, Assignment(epoch), self.topic_ids
        consumer = Consumer(telling(settings.consumer, self.observe), logger=self.logger)
        rebalance = RebalanceListener(
            settings.input_topics, settings.companions, self.start, assignment, topic_ids, self._held
        )
        guard = TopicGuard(consumer, assignment, rebalance.pending, topic_ids, self.observe)
        reader = BatchReader(
            consumer,
            assignment,
            rebalance,
            guard,
            config=settings.consumer,
            observe=self.observe,
            logger=self.logger,
        )
        committer = Committer(
            consumer, self.publisher, assignment, settings.channels, guard, stopping=self.stopping
        )
        if epoch == 0 and not has_group_begun(settings.consumer, settings.input_topics):
            begun = self.start.begin_group(consumer, settings.input_topics, topic_ids)
            if begun:
                self.observe(GroupBegun(begun))
        rebalance.subscribe(consumer)
        return Membership(epoch == 0, consumer, rebalance, assignment, guard, reader, committer)

    def _held(self, partitions: Sequence[Partition]) -> str | None:
        return None if self.stopping() else holding_transaction(self.settings.consumer, partitions)
