"""Every client on a broker with OAUTHBEARER, with tokens from a function and from an OpenID provider."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from stream_infer.app.kit.member import GroupMember
from stream_infer.config.settings import load_settings
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.kafka import client
from stream_infer.kafka.event_producer import EventProducer
from stream_infer.kafka.standalone_reader import newest_values
from stream_infer.kafka.sync_produce import produce_sync
from tests.architecture.tree import ROOT
from tests.conftest import new_topics, own_cluster
from tests.support.cluster import Cluster
from tests.support.events import Framing, generate, send
from tests.support.models import said
from tests.support.package import Package
from tests.support.pipeline import Pipeline
from tests.support.proxy import Proxy
from tests.support.tokens import BROKER_SETTINGS, CALLS, CLIENT_SETTINGS, token_endpoint
from tests.support.worker_process import Group, Worker, until

pytestmark = pytest.mark.kafka
COUNT = 400
Secured = Callable[[Mapping[str, str]], Path]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Return a broker whose second listener takes clients with tokens only."""
    with (
        own_cluster(settings=BROKER_SETTINGS) as running,
        Proxy(running.route.listen, running.route.upstream),
    ):
        yield running


@pytest.fixture
def line(cluster: Cluster, package: Package, tmp_path: Path) -> Iterator[Pipeline]:
    with new_topics(cluster.bootstrap) as topics:
        source = topics("payments.events")
        yield Pipeline(
            name=source.replace("events", "fraud"),
            framing=Framing.NONE,
            bootstrap=cluster.bootstrap,
            input=source,
            predictions=topics("payments.predictions"),
            dead_letters=topics("dlq.payments"),
            package=package,
            folder=tmp_path,
        )


@pytest.fixture
def secured(cluster: Cluster, line: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Secured:
    """Return what writes the settings of a worker that connects with tokens from somewhere."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(CALLS, str(tmp_path / "calls"))
    route = cluster.route.bootstrap

    def config(source: Mapping[str, str]) -> Path:
        return line.write_config("w", bootstrap=route, kafka={**CLIENT_SETTINGS, **source})

    return config


def outlives_its_tokens(line: Pipeline, config: Path, served: Callable[[], int]) -> None:
    """Check that a worker scores with its first tokens, and after all of its clients had newer ones."""
    group = Group(line)
    worker = Worker(config)
    try:
        send(line.bootstrap, line.input, generate(COUNT, Framing.NONE, seed=1))
        until("the first events are answered", lambda: group.committed() == COUNT, worker)
        newer = served() + 3  # so many that one of two clients has its third, and the first ones have expired
        until("the clients have newer tokens", lambda: served() >= newer, worker)
        send(line.bootstrap, line.input, generate(COUNT, Framing.NONE, seed=2))
        until("the others are answered", lambda: group.committed() == 2 * COUNT, worker)
        assert worker.terminate() == 0
    finally:
        worker.kill()
    beside = client.admin(load_settings(config, {}).kafka)
    assert newest_values(beside, line.predictions)


def test_a_function_of_the_user_gives_tokens_to_every_client(
    line: Pipeline, secured: Secured, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    source = {"token_provider": "tests.support.tokens:provide", "sasl.oauthbearer.config": "subject=worker"}

    outlives_its_tokens(line, secured(source), lambda: len(calls.read_text().splitlines()))


def test_an_openid_provider_gives_tokens_to_every_client(line: Pipeline, secured: Secured) -> None:
    with token_endpoint() as endpoint:
        source = {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": endpoint.url,
            "sasl.oauthbearer.client.id": "fraud",
            "sasl.oauthbearer.client.secret": uuid.uuid4().hex,
        }
        config = secured(source)
        until("the check passes", lambda: said("check", "-c", config).exit_code == 0)
        outlives_its_tokens(line, config, lambda: endpoint.served)


def test_a_function_that_gives_no_token_ends_a_command_with_its_reason(secured: Secured) -> None:
    for name, reason in (
        ("refuse", "ConnectionError: the identity service is away"),
        ("in_milliseconds", "not a future time in Unix seconds"),
    ):
        config = secured({"token_provider": f"tests.support.tokens:{name}"})

        checked = said("check", "-c", config, "--json")
        with pytest.raises(BrokerUnreachable, match=f"tests.support.tokens:{name} gave no token: .*{reason}"):
            said("offsets", "reset", "-c", config, "--to", "earliest")

        assert checked.exit_code == 4
        [problem] = checked.document["problems"]
        assert reason in problem["message"]


def send_for_ever(kafka: client.Properties, topic: str) -> NoReturn:
    with closing(EventProducer(kafka, topic, 1_000_000)) as producer:
        while True:
            producer.send(1, b"v", None)
            producer.poll(0.1)


def test_a_principal_without_rights_is_told_so_by_every_producer(
    line: Pipeline, secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    source = {"token_provider": "tests.support.tokens:provide", "sasl.oauthbearer.config": "subject=stranger"}
    kafka = load_settings(secured(source), {}).kafka
    publisher = GroupMember(kafka, line.group, "w").best_effort_publisher("status")

    with pytest.raises(Fatal, match=r"cannot be written: .*authorization failed"):
        produce_sync(kafka, line.predictions, b"k", b"v", within_s=30.0)
    with pytest.raises(Fatal, match=rf"written to {re.escape(line.input)}: .*([Aa]uthorization|Fatal)"):
        send_for_ever(kafka, line.input)
    with caplog.at_level(logging.WARNING, "librdkafka"):
        publisher.open()

        def refused() -> bool:
            publisher.post(line.predictions, b"k", b"v")
            return any(record.message == LogEvent.RECORD_NOT_WRITTEN for record in caplog.records)

        until("the refusal of a status is logged", refused)
    publisher.close()
