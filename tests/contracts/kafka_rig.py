"""The rig of the Kafka session on a real broker, for both delivery guarantees."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, Producer, TopicPartition

from stream_infer.flow.events import Event
from stream_infer.flow.ports import Sink, Source
from stream_infer.flow.records import Channel
from stream_infer.kafka.at_least_once import AtLeastOnce
from stream_infer.kafka.client import Properties
from stream_infer.kafka.membership import SessionSettings
from stream_infer.kafka.offsets import OnLostOffset, StartOffsets
from stream_infer.kafka.publish import Publisher
from stream_infer.kafka.session import Session
from stream_infer.kafka.topic_ids import TopicIds, asking
from stream_infer.kafka.transactions import Transactions
from tests.conftest import Topics
from tests.support.log import read_all

_WITHIN_S = 30.0


def _ignore(event: Event, /) -> None:
    """Ignore every event."""


class KafkaRig:
    """See `rigs.Rig`. Members share one slot: a new member replaces the one before."""

    def __init__(self, bootstrap: str, topics: Topics, publisher: Callable[[KafkaRig], Publisher]) -> None:
        self.bootstrap = bootstrap
        self.events = topics("contract.events", partitions=2)
        self.predictions = topics("contract.predictions", partitions=2)
        self.name = f"contract.{uuid.uuid4().hex[:12]}"
        self._publisher = publisher
        self._sessions: list[Session] = []

    def append(self, partition: int, values: Sequence[bytes | None]) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for value in values:
            producer.produce(self.events, value, partition=partition)
        assert producer.flush(_WITHIN_S) == 0

    def open(self) -> tuple[Source, Sink]:
        session = Session(
            SessionSettings(
                consumer=self._consumer("0"),
                input_topics=[self.events],
                channels={Channel.PREDICTIONS: self.predictions},
            ),
            self._publisher(self),
            StartOffsets("earliest", OnLostOffset.HALT),
            TopicIds(
                asking(Properties({"bootstrap.servers": self.bootstrap})),
                [self.events],
                stopping=lambda: False,
            ),
            stopping=lambda: False,
            observe=_ignore,
            logger=logging.getLogger("contract"),
        )
        self._sessions.append(session)
        session.open()
        return session, session

    def _consumer(self, instance: str) -> dict[str, object]:
        return {
            "bootstrap.servers": self.bootstrap,
            "group.id": self.name,
            "group.instance.id": instance,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 300,  # rebalances are quick
        }

    def lose_assignment(self) -> None:
        """Let another member join and leave: the session misses two generations."""
        joined: list[Sequence[TopicPartition]] = []
        other = self._consumer("1")
        del other["group.instance.id"]  # a dynamic member leaves the group at once when it closes
        other["session.timeout.ms"] = 1_000
        visitor = Consumer(other)
        visitor.subscribe([self.events], on_assign=lambda _c, partitions: joined.append(partitions))
        deadline = time.monotonic() + _WITHIN_S
        while not joined:
            visitor.poll(0.05)
            assert time.monotonic() < deadline, "the other member did not join"
        visitor.close()

    def visible(self) -> list[tuple[int, bytes | None]]:
        return [(r.partition, r.value) for r in read_all(self.bootstrap, self.predictions)]

    def close(self) -> None:
        for session in self._sessions:
            session.close()


def transactions(rig: KafkaRig) -> Publisher:
    """Return the exactly-once publisher."""
    return Transactions(
        {
            "bootstrap.servers": rig.bootstrap,
            "transactional.id": rig.name,
            "retry.backoff.ms": 5,
            "transaction.timeout.ms": 20_000,
            "message.timeout.ms": 15_000,
        },
        stopping=lambda: False,
        observe=_ignore,
        logger=logging.getLogger("contract"),
    )


def at_least_once(rig: KafkaRig) -> Publisher:
    """Return the at-least-once publisher."""
    config = {"bootstrap.servers": rig.bootstrap, "enable.idempotence": True}
    return AtLeastOnce(config, stopping=lambda: False, logger=logging.getLogger("contract"))
