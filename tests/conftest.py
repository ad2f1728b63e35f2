"""Fixtures of tests on a real broker. A test that asks for `broker`, in whatever way, is marked `kafka`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from typing import NoReturn, Protocol

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.kafka.broker import Broker, Route, running_broker
from tests.kafka.errors import Unavailable
from tests.kafka.proxy import Proxy

_ANSWER_WITHIN_S = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "broker" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """Return a real broker; without one the test is skipped, or fails where CI requires one."""
    try:
        with running_broker() as running:
            yield running
    except Unavailable as reason:
        _do_without(f"no Kafka broker: {reason}")


@pytest.fixture
def route(broker: Broker) -> Route:
    """Return the way to the broker on which a proxy may listen."""
    if broker.route is None:
        _do_without("the broker that was given advertises no address for a proxy")
    return broker.route


@pytest.fixture
def proxy(route: Route) -> Iterator[Proxy]:
    """Return a proxy that listens on `route.bootstrap`."""
    with Proxy(route.listen, route.upstream) as listening:
        yield listening


class Topics(Protocol):
    """Creates a topic of a name that starts with `name` and was never used before, and returns the name."""

    def __call__(self, name: str, partitions: int = 4, config: Mapping[str, str] | None = None) -> str: ...


@pytest.fixture
def topics(broker: Broker) -> Iterator[Topics]:
    """Return a factory of topics, which are deleted when the test ends."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    created: list[str] = []

    def create(name: str, partitions: int = 4, config: Mapping[str, str] | None = None) -> str:
        topic = f"{name}.{uuid.uuid4().hex[:12]}"
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        admin.create_topics([new])[topic].result(_ANSWER_WITHIN_S)
        created.append(topic)
        return topic

    yield create
    for deleted in admin.delete_topics(created).values() if created else ():
        deleted.result(_ANSWER_WITHIN_S)


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("STREAM_INFER_REQUIRE_KAFKA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
