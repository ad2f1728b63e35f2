"""One process as a member of a consumer group: the names of its clients, its session and its producer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_infer.config.sections import Guarantee
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Channel
from stream_infer.kafka import client
from stream_infer.kafka.at_least_once import AtLeastOnce
from stream_infer.kafka.best_effort import BestEffortPublisher
from stream_infer.kafka.membership import MAX_BATCH_BYTES, SessionSettings
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.publish import Publisher
from stream_infer.kafka.session import Session
from stream_infer.kafka.topic_health import TopicHealth
from stream_infer.kafka.topic_ids import TopicIds, asking
from stream_infer.kafka.transactions import Transactions
from stream_infer.ops.logs import librdkafka_logger
from stream_infer.runtime.stop import Stop


@dataclass(frozen=True, slots=True)
class GroupMember:
    """The slot of a worker in a consumer group."""

    kafka: client.Properties
    group_id: str
    slot: str

    @property
    def client_id(self) -> str:
        """The `client.id` of its clients; also its `transactional.id`, so that a successor fences it."""
        return f"{self.group_id}.{self.slot}"

    def consumer_config(self) -> dict[str, Any]:
        """Return the librdkafka properties of its consumer."""
        return client.consumer(
            self.kafka, group_id=self.group_id, instance_id=self.slot, client_id=self.client_id
        )

    def producer_config(self, *, transactional: bool) -> dict[str, Any]:
        """Return the librdkafka properties of its producer."""
        transactional_id = self.client_id if transactional else None
        return client.producer(self.kafka, transactional_id=transactional_id, client_id=self.client_id)

    def best_effort_publisher(self, purpose: str) -> BestEffortPublisher:
        """Return a producer beside the stream, not yet open; `purpose` is a part of its `client.id`."""
        client_id = f"{self.client_id}.{purpose}"
        config = client.single_record_producer(self.kafka, client_id=client_id)
        return BestEffortPublisher(config, logger=librdkafka_logger())


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """What a session reads and writes, and what it promises.

    `companions` and `max_batch_bytes`: see `SessionSettings`. `TopicGuard` compares the ids of the `guarded`
    topics. `record_limits` are the most bytes that the topics of `channels` take as one record, where that is
    known.
    """

    input_topics: Sequence[str]
    channels: Mapping[Channel, str]
    start: StartOffsets
    companions: Sequence[str] = ()
    guarded: Sequence[str] = ()
    guarantee: Guarantee = Guarantee.EXACTLY_ONCE
    record_limits: Sequence[int] = ()
    max_batch_bytes: int = MAX_BATCH_BYTES


def build_session(
    member: GroupMember, plan: SessionPlan, *, stop: Stop, observe: Observer, health: TopicHealth
) -> Session:
    """Return the session of `member`, not yet open. `stop` also ends its waiting for a silent broker."""
    publisher = _publisher(member, plan, stop, observe, health)
    if plan.record_limits:
        publisher.refit(plan.record_limits)
    return Session(
        SessionSettings(
            consumer=member.consumer_config(),
            input_topics=plan.input_topics,
            channels=plan.channels,
            companions=plan.companions,
            max_batch_bytes=plan.max_batch_bytes,
        ),
        publisher,
        plan.start,
        TopicIds(asking(member.kafka), plan.guarded, stopping=lambda: stop.requested),
        stopping=lambda: stop.requested,
        observe=observe,
        logger=librdkafka_logger(),
    )


def _publisher(
    member: GroupMember, plan: SessionPlan, stop: Stop, observe: Observer, health: TopicHealth
) -> Publisher:
    transactional = plan.guarantee is Guarantee.EXACTLY_ONCE
    config = member.producer_config(transactional=transactional)
    logger = librdkafka_logger()
    if not transactional:
        return AtLeastOnce(
            config,
            stopping=lambda: stop.requested,
            logger=logger,
            cannot_succeed=health.cannot_succeed,
        )
    return Transactions(
        config,
        stopping=lambda: stop.requested,
        observe=observe,
        logger=logger,
        cannot_succeed=health.cannot_succeed,
    )
