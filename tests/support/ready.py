"""Readiness of a broker: metadata, group coordinator and transaction coordinator."""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.support.clients import SILENT, admin

_START_WITHIN_S = 60.0


def answers(bootstrap: str, *, within_s: float) -> bool:
    """Return whether the broker at `bootstrap` returns its metadata within `within_s` seconds."""
    try:
        admin(bootstrap).list_topics(timeout=within_s)
    except KafkaException:
        return False
    return True


def wait_for_broker(
    port: int, *, alive: Callable[[], bool] = lambda: True, coordinators: bool = True
) -> bool:
    """Return True when a broker answers on `port`, False when it is not `alive` or takes too long.

    With `coordinators` also those of groups and transactions answer.
    """
    deadline = time.monotonic() + _START_WITHIN_S
    while alive() and time.monotonic() < deadline:
        if answers(f"127.0.0.1:{port}", within_s=1.0):
            if coordinators:
                wake_coordinators(f"127.0.0.1:{port}")
            return True
    return False


def wake_coordinators(bootstrap: str) -> None:
    """Make the broker create its internal topics now: it refuses group and transaction requests before."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "wake"}, logger=SILENT)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "wake"}, logger=SILENT)
    deadline = time.monotonic() + _START_WITHIN_S
    try:
        producer.init_transactions(_START_WITHIN_S)
        while not _returns_offsets(consumer) and time.monotonic() < deadline:
            pass
    finally:
        consumer.close()


def _returns_offsets(consumer: Consumer) -> bool:
    try:
        consumer.committed([TopicPartition("wake", 0)], timeout=_START_WITHIN_S)
    except KafkaException:
        return False
    return True
