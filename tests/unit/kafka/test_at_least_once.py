"""Offsets follow the acknowledgements, and a stop does not wait for a broker that is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_infer.flow.errors import Aborted
from stream_infer.flow.records import Channel, Output
from stream_infer.kafka import at_least_once
from stream_infer.kafka.at_least_once import AtLeastOnce

OUTPUT = Output(Channel.PREDICTIONS, [0], [b"k"], [b"v"], [None], [0])
OFFSETS: Any = ["offset 1"]


class FakeProducer:
    """Keeps its records for as long as `left` says, `purged` apart."""

    def __init__(self) -> None:
        self.left = 0
        self.purged = False
        self.flushes = 0

    def produce(self, *_record: object) -> None:
        """Take a record."""

    def flush(self, _timeout_s: float) -> int:
        self.flushes += 1
        return 0 if self.purged else self.left

    def purge(self) -> None:
        self.purged = True


class FakeConsumer:
    """Commits at once, raises `failure`, or hangs until `release` is set."""

    def __init__(self) -> None:
        self.failure: KafkaException | None = None
        self.release = threading.Event()
        self.release.set()
        self.committed: list[object] = []

    def commit(self, *, offsets: object, asynchronous: bool) -> None:
        assert not asynchronous
        self.release.wait()
        if self.failure is not None:
            raise self.failure
        self.committed.append(offsets)


class World:
    """An `AtLeastOnce` on a fake producer, and a fake consumer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.producer, self.consumer, self.stopping = FakeProducer(), FakeConsumer(), False
        self.confirmed = 0
        monkeypatch.setattr(at_least_once, "_SLICE_S", 0.01)
        monkeypatch.setattr(at_least_once, "Producer", lambda *_, **__: self.producer)
        self.publisher = AtLeastOnce({}, stopping=lambda: self.stopping, logger=logging.getLogger("test"))
        self.publisher.open()

    def publish(self) -> None:
        consumer: Any = self.consumer
        self.publisher.publish([("predictions", OUTPUT)], OFFSETS, "metadata", consumer, self.confirm)

    def confirm(self) -> None:
        self.confirmed += 1


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(monkeypatch)
    yield made
    made.consumer.release.set()


def test_offsets_are_committed_after_all_records_are_acknowledged(world: World) -> None:
    world.publish()

    assert (world.confirmed, world.consumer.committed) == (1, [OFFSETS])


def test_a_refused_commit_of_offsets_aborts(world: World) -> None:
    world.consumer.failure = KafkaException(KafkaError(KafkaError.NOT_COORDINATOR))

    with pytest.raises(Aborted, match="offsets not committed"):
        world.publish()


def test_a_stop_ends_the_wait_for_acknowledgements(world: World) -> None:
    world.stopping, world.producer.left = True, 3

    with pytest.raises(Aborted, match="not every record was acknowledged"):
        world.publish()

    assert (world.producer.purged, world.producer.flushes) == (True, 2)
    assert world.consumer.committed == []


def test_a_stop_ends_the_wait_for_the_coordinator(world: World) -> None:
    world.stopping = True
    world.consumer.release.clear()

    with pytest.raises(Aborted, match="stopped while no coordinator answered"):
        world.publish()
