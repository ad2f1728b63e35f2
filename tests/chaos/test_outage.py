"""Brokers that are away, silent or slow, or refuse: few lines tell of it, and `/readyz` says the last error.

STREAM_INFER_TEST_OUTAGE_S=60 pytest tests/chaos/test_outage.py     # each outage a minute long
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from tests.conftest import Topics, new_topics
from tests.support.access import denied
from tests.support.clients import admin
from tests.support.cluster import Cluster, running_cluster
from tests.support.errors import Unavailable
from tests.support.events import Framing, generate, send
from tests.support.log import committed
from tests.support.package import Package
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import metric_lines, readyz
from tests.support.relay import DelayingRelay
from tests.support.worker_process import Worker, until

OUTAGE_S = float(os.environ.get("STREAM_INFER_TEST_OUTAGE_S", "6"))
LINES_A_MINUTE = 6
MINUTE_S = 60
MOST_CPU = 0.01
"""The share of a processor in a minute without a broker; 0.6 and 0.7 % were measured on a busy machine."""
COUNT = 200
SLOW_S = 3.0
IDLE_MS = 2_000
# What a broker forgets of a client that is idle, sooner than by default: its connections and its ids.
FORGETFUL = {
    "connections.max.idle.ms": str(IDLE_MS),
    "producer.id.expiration.ms": str(IDLE_MS),
    "producer.id.expiration.check.interval.ms": "500",
    "transactional.id.expiration.ms": str(IDLE_MS),
    "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
}
# The listener PROXIED takes clients with a password.
_LISTENER = "listener.name.proxied"
PASSWORDS = {
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
    f"{_LISTENER}.sasl.enabled.mechanisms": "SCRAM-SHA-256",
    f"{_LISTENER}.scram-sha-256.sasl.jaas.config": (
        "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    ),
}
CLIENT = {
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "SCRAM-SHA-256",
    "sasl.username": "worker",
    "sasl.password": "first",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    try:
        with running_cluster(settings={**FORGETFUL, **PASSWORDS}) as running:
            yield running
    except Unavailable as reason:
        pytest.skip(f"no cluster: {reason}")


@dataclass(frozen=True, slots=True)
class Scene:
    """A worker that has answered its first events, and what it shows of itself."""

    pipeline: Pipeline
    worker: Worker
    port: int

    def answer(self, count: int) -> None:
        """Send `count` more events and wait until all are answered."""
        before = self.answered()
        self.send(count)
        until("all are answered", lambda: self.answered() == before + count, self.worker, within_s=90)

    def send(self, count: int) -> None:
        """Send `count` events."""
        send(self.pipeline.bootstrap, self.pipeline.input, generate(count, Framing.NONE, seed=3))

    def answered(self) -> int:
        """Return the number of answered events."""
        pipeline = self.pipeline
        return sum(committed(pipeline.bootstrap, pipeline.group, pipeline.input).values())


@pytest.fixture
def scene(cluster: Cluster, package: Package, tmp_path: Path) -> Iterator[Scene]:
    with new_topics(cluster.bootstrap) as topics:
        tested = pipeline_in(cluster, topics, package, tmp_path)
        [port] = free_ports(1)
        worker = Worker(tested.write_config("0", http={"port": port}))
        try:
            found = Scene(tested, worker, port)
            found.answer(COUNT)
            yield found
        finally:
            worker.kill()


@pytest.fixture
def relay(cluster: Cluster) -> Iterator[DelayingRelay]:
    with DelayingRelay(cluster.route.listen, cluster.route.upstream) as listening:
        yield listening


@pytest.fixture
def distant(cluster: Cluster, relay: DelayingRelay, package: Package, tmp_path: Path) -> Iterator[Scene]:
    """Return a worker that connects with a password, through `relay`."""
    set_password(cluster, CLIENT["sasl.password"])
    with new_topics(cluster.bootstrap) as topics:
        tested = pipeline_in(cluster, topics, package, tmp_path)
        [port] = free_ports(1)
        config = tested.write_config(
            "0", bootstrap=cluster.route.bootstrap, http={"port": port}, kafka=CLIENT
        )
        worker = Worker(config)
        try:
            found = Scene(tested, worker, port)
            found.answer(COUNT)
            yield found
        finally:
            worker.kill()


def set_password(cluster: Cluster, password: str) -> None:
    """Let clients connect as the user of `CLIENT` with `password` only."""
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    change = UserScramCredentialUpsertion(CLIENT["sasl.username"], scram, password.encode())
    client = admin(cluster.bootstrap)  # the answer comes only while the client lives
    [changed] = client.alter_user_scram_credentials([change]).values()
    changed.result(20)


def pipeline_in(cluster: Cluster, topics: Topics, package: Package, folder: Path) -> Pipeline:
    source = topics("payments.events")
    return Pipeline(
        name=source.replace("events", "fraud"),
        framing=Framing.NONE,
        bootstrap=cluster.bootstrap,
        input=source,
        predictions=topics("payments.predictions"),
        dead_letters=topics("dlq.payments", partitions=2),
        package=package,
        folder=folder,
    )


def last(seconds: float) -> None:
    """Let a fault last: what is counted comes by time."""
    threading.Event().wait(seconds)


def level(line: str) -> str:
    return str(json.loads(line)["level"])


def test_ids_and_connections_that_expired_in_a_pause_are_renewed_without_a_warning(scene: Scene) -> None:
    before = len(scene.worker.lines())

    last(2 * IDLE_MS / 1000)
    scene.answer(COUNT)
    renewed = metric_lines(scene.port, "stream_infer_producer_renewals_total")

    assert [float(line.rsplit(" ", 1)[1]) > 0 for line in renewed] == [True]
    assert [line for line in scene.worker.lines()[before:] if level(line) != "info"] == []


def test_a_broker_that_is_away_is_told_in_few_lines(scene: Scene, cluster: Cluster) -> None:
    before = len(scene.worker.lines())
    scene.send(COUNT)

    cluster.kill(0)
    try:
        until("/readyz has the error", lambda: readyz(scene.port).get("client_error"), scene.worker)
        last(OUTAGE_S)
        told = scene.worker.lines()[before:]
    finally:
        cluster.start(0)

    assert len(told) <= LINES_A_MINUTE * max(1.0, OUTAGE_S / 60), "\n".join(told)


def test_a_broker_that_is_silent_is_told_in_few_lines(scene: Scene, cluster: Cluster) -> None:
    before = len(scene.worker.lines())
    scene.send(COUNT)

    cluster.pause(0)
    try:
        last(OUTAGE_S)
        told = scene.worker.lines()[before:]
    finally:
        cluster.resume(0)

    assert len(told) <= LINES_A_MINUTE * max(1.0, OUTAGE_S / 60), "\n".join(told)


def test_an_output_that_may_not_be_written_is_told_in_few_lines(scene: Scene) -> None:
    before = len(scene.worker.lines())

    with denied(scene.pipeline.bootstrap, [scene.pipeline.predictions]) as allow:
        scene.send(COUNT)
        until("a batch is aborted", lambda: "batch aborted" in scene.worker.output(), scene.worker)
        last(OUTAGE_S)
        told = scene.worker.lines()[before:]
        allow()

    assert len(told) <= LINES_A_MINUTE * max(1.0, OUTAGE_S / 60), "\n".join(told)
    until("all are answered", lambda: scene.answered() == 2 * COUNT, scene.worker, within_s=120)


Trouble = Callable[[Cluster, DelayingRelay], AbstractContextManager[None]]


@contextmanager
def slow(_cluster: Cluster, relay: DelayingRelay) -> Iterator[None]:
    """Each request takes seconds."""
    relay.round_trip_s = SLOW_S
    yield
    relay.round_trip_s = 0.0


@contextmanager
def flapping(_cluster: Cluster, relay: DelayingRelay) -> Iterator[None]:
    """All connections break, twice a second."""
    ended = threading.Event()

    def cut() -> None:
        while not ended.wait(0.5):
            relay.cut()

    cutting = threading.Thread(target=cut)
    cutting.start()
    try:
        yield
    finally:
        ended.set()
        cutting.join()


@contextmanager
def unreachable(_cluster: Cluster, relay: DelayingRelay) -> Iterator[None]:
    """Connections are refused."""
    relay.stop()
    yield
    relay.start()


@contextmanager
def rotated_password(cluster: Cluster, relay: DelayingRelay) -> Iterator[None]:
    """The broker wants another password of those that connect again."""
    set_password(cluster, "second")
    relay.cut()
    yield
    set_password(cluster, CLIENT["sasl.password"])


@pytest.mark.parametrize("trouble", [slow, flapping, unreachable, rotated_password])
def test_trouble_on_the_way_to_the_broker_is_told_in_few_lines_and_passes(
    distant: Scene, cluster: Cluster, relay: DelayingRelay, trouble: Trouble
) -> None:
    process = psutil.Process(distant.worker.pid)
    before, used = len(distant.worker.lines()), sum(process.cpu_times()[:2])

    with trouble(cluster, relay):
        distant.send(COUNT)
        last(OUTAGE_S)
        told = distant.worker.lines()[before:]
        cpu = (sum(process.cpu_times()[:2]) - used) / OUTAGE_S

    print(f"{trouble.__name__}: {len(told)} lines and {cpu:.1%} of a processor in {OUTAGE_S:.0f} s")  # noqa: T201 - shown with -s
    assert len(told) <= LINES_A_MINUTE * max(1.0, OUTAGE_S / MINUTE_S), "\n".join(told)
    assert cpu < MOST_CPU or OUTAGE_S < MINUTE_S or trouble is not unreachable
    until("all are answered", lambda: distant.answered() == 2 * COUNT, distant.worker, within_s=120)
