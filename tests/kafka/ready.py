"""Whether a broker answers yet, in all its offices."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

_START_WITHIN_S = 60.0
_silent = logging.getLogger("tests.kafka.ready")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


def answers(bootstrap: str, *, within_s: float) -> bool:
    """Return whether the broker at `bootstrap` tells its metadata within `within_s` seconds."""
    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": bootstrap,
        "reconnect.backoff.max.ms": 200,
    }
    admin = AdminClient(settings, logger=_silent)
    try:
        admin.list_topics(timeout=within_s)
    except KafkaException:
        return False
    return True


def wait_for_broker(port: int, *, alive: Callable[[], bool] = lambda: True) -> bool:
    """Return True when a broker answers on `port`, False when it is not `alive` or takes too long."""
    deadline = time.monotonic() + _START_WITHIN_S
    while alive() and time.monotonic() < deadline:
        if answers(f"127.0.0.1:{port}", within_s=1.0):
            _wake_coordinators(f"127.0.0.1:{port}")
            return True
    return False


def _wake_coordinators(bootstrap: str) -> None:
    """Let the broker make its topics of offsets and transactions now: until then it refuses those requests."""
    Producer({"bootstrap.servers": bootstrap, "transactional.id": "wake"}).init_transactions(_START_WITHIN_S)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "wake"})
    consumer.committed([TopicPartition("wake", 0)], timeout=_START_WITHIN_S)
    consumer.close()
