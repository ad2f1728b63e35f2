"""Fixtures of tests on a real broker. A test that asks for `broker`, in whatever way, is marked `kafka`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, Protocol

import pytest
from confluent_kafka.cimpl import NewTopic
from hypothesis import HealthCheck, settings

from tests.support.broker import Broker, Route, running_broker
from tests.support.clients import admin, is_known
from tests.support.cluster import Cluster, running_cluster
from tests.support.errors import Unavailable
from tests.support.events import Framing
from tests.support.lines import Rehearsed, rehearse
from tests.support.package import Package, make_package
from tests.support.pipeline import Pipeline
from tests.support.proxy import Proxy
from tests.support.stage import Stage, stage
from tests.support.worker_process import Worker, until

_ANSWER_WITHIN_S = 20.0

# How fast examples are made says something about the machine, and nothing about what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


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


@contextmanager
def own_cluster(
    nodes: int = 1, settings: Mapping[str, str] | None = None, *, coordinators: bool = True
) -> Iterator[Cluster]:
    """Run brokers of a module's own. Without Java its tests are skipped, or fail where CI wants a broker."""
    try:
        with running_cluster(nodes, settings, coordinators=coordinators) as running:
            yield running
    except Unavailable as reason:
        _do_without(f"no Kafka broker of its own: {reason}")


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


@contextmanager
def new_topics(bootstrap: str, copies: int = 1) -> Iterator[Topics]:
    """Return a factory of topics of `copies` replicas, which are deleted when the block ends."""
    client = admin(bootstrap)
    created: list[str] = []

    def create(name: str, partitions: int = 4, config: Mapping[str, str] | None = None) -> str:
        topic = f"{name}.{uuid.uuid4().hex[:12]}"
        new = NewTopic(topic, num_partitions=partitions, replication_factor=copies, config=dict(config or {}))
        client.create_topics([new])[topic].result(_ANSWER_WITHIN_S)
        created.append(topic)
        # A broker under load answers before its metadata have the topic: others would find none.
        until(f"{topic} is known", lambda: is_known(client, topic))
        return topic

    yield create
    for deleted in client.delete_topics(created).values() if created else ():
        deleted.result(_ANSWER_WITHIN_S)


@pytest.fixture
def topics(broker: Broker) -> Iterator[Topics]:
    """Return a factory of topics, which are deleted when the test ends."""
    with new_topics(broker.bootstrap) as create:
        yield create


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Return the model package that workers serve in these tests."""
    return make_package(tmp_path_factory.mktemp("package"))


@pytest.fixture
def pipeline(
    broker: Broker, topics: Topics, package: Package, tmp_path: Path
) -> Callable[[Framing], Pipeline]:
    """Return a factory of pipelines, each with topics of its own."""

    def create(framing: Framing) -> Pipeline:
        source = topics("payments.events")
        return Pipeline(
            name=source.replace("events", "fraud"),
            framing=framing,
            bootstrap=broker.bootstrap,
            input=source,
            predictions=topics("payments.predictions"),
            dead_letters=topics("dlq.payments", partitions=2),
            package=package,
            folder=tmp_path,
        )

    return create


@pytest.fixture(scope="session")
def two_lines(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    """Return two packages whose models disagree on every event, and which are known to be good."""
    return rehearse(tmp_path_factory.mktemp("lines"))


@pytest.fixture
def lines(broker: Broker, topics: Topics, two_lines: Rehearsed, tmp_path: Path) -> Stage:
    """Return a pipeline whose model comes from a store."""
    folder = tmp_path / "stage"
    folder.mkdir()
    return stage(broker.bootstrap, topics, folder, two_lines)


@pytest.fixture
def start_worker(topics: Topics) -> Iterator[Callable[..., Worker]]:
    """Return what starts a worker with the settings in a file and options; all are ended with the test."""
    started: list[Worker] = []

    def start(config: Path, *options: str) -> Worker:
        worker = Worker(config, *options)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("STREAM_INFER_REQUIRE_KAFKA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
