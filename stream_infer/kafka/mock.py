"""librdkafka's in-process mock cluster: a broker for the demo and for tests of error paths.

It speaks the protocol on a real port and is up in milliseconds, but it enforces no delivery guarantee:
aborted records are readable, and committed offsets are not kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer

_UP_WITHIN_S = 10.0


@contextmanager
def mock_broker() -> Iterator[str]:
    """Run a mock cluster and yield its `bootstrap.servers`. It creates topics on request."""
    silent = logging.Logger("stream_infer.kafka.mock")  # noqa: LOG001 - without handlers, on purpose
    silent.addHandler(logging.NullHandler())
    holder = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1}, logger=silent)
    brokers = holder.list_topics(timeout=_UP_WITHIN_S).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    holder.close()
