"""What transactions and groups need of the broker: `check` asks for it, and `run` ends with exit code 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    AclOperation,
    ResourceType,
)

from stream_infer.app.checks.check import require_checked
from stream_infer.flow.errors import Misconfigured
from stream_infer.kafka.producers import try_transactional_id
from tests.conftest import Topics, new_topics, own_cluster
from tests.support.access import denied
from tests.support.broker import Broker
from tests.support.clients import SILENT
from tests.support.cluster import Cluster
from tests.support.events import Framing
from tests.support.log import read_all
from tests.support.models import said
from tests.support.pipeline import Pipeline
from tests.support.worker_process import Worker
from tests.unit.app.project import make_project

MakePipeline = Callable[[Framing], Pipeline]
StartWorker = Callable[[Path], Worker]
pytestmark = pytest.mark.kafka
_ANSWER_WITHIN_S = 30.0
BEYOND_THE_BROKERS = {
    "kafka_producer": {"transaction.timeout.ms": 1_000_000},
    "kafka_consumer": {"session.timeout.ms": 2_000_000, "max.poll.interval.ms": 2_000_000},
}


def problems(config: Path) -> dict[str, dict[str, str]]:
    """Return what `check` finds, by key."""
    checked = said("check", "-c", config, "--json")
    found = {problem["key"]: problem for problem in checked.document["problems"]}
    assert checked.exit_code == (2 if found else 0)
    return found


def test_timeouts_beyond_the_brokers_bounds_are_named_before_the_start(
    pipeline: MakePipeline, start_worker: StartWorker
) -> None:
    config = pipeline(Framing.NONE).write_config("w", **BEYOND_THE_BROKERS)

    found = problems(config)
    worker = start_worker(config)

    assert found.keys() == {"kafka.producer.transaction.timeout.ms", "kafka.consumer.session.timeout.ms"}
    transaction, session = (found[key] for key in sorted(found, reverse=True))
    assert transaction["value"] == "1000000"
    assert "at most 900000 (transaction.max.timeout.ms)" in transaction["message"]
    assert session["value"] == "2000000"
    assert "to 1800000" in session["message"]
    assert worker.wait() == 2
    assert "fix: set at most that" in worker.output()


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("kafka_producer", "kafka.producer.transaction.timeout.ms = 1000000"),
        ("kafka_consumer", "kafka.consumer.session.timeout.ms = 2000000"),
    ],
)
def test_a_timeout_that_the_broker_refuses_ends_the_worker_where_the_bounds_may_not_be_seen(
    pipeline: MakePipeline, start_worker: StartWorker, section: str, key: str
) -> None:
    line = pipeline(Framing.NONE)
    config = line.write_config("w", **{section: BEYOND_THE_BROKERS[section]})

    with denied(line.bootstrap, ["kafka-cluster"], ResourceType.BROKER, AclOperation.DESCRIBE_CONFIGS):
        checked = said("check", "-c", config, "--json").document
        worker = start_worker(config)
        assert worker.wait(60) == 2

    assert any("may not see the brokers' settings" in line for line in checked["skipped"])
    assert key in worker.output()
    assert "the broker refuses it" in worker.output()
    assert "Traceback" not in worker.output()


@pytest.mark.parametrize("operation", [AclOperation.WRITE, AclOperation.DESCRIBE])
def test_a_transactional_id_that_may_not_be_used_is_named_and_ends_the_worker(
    pipeline: MakePipeline, start_worker: StartWorker, operation: AclOperation
) -> None:
    line = pipeline(Framing.NONE)
    config = line.write_config("w")
    name = f"{line.group}.w"

    with denied(line.bootstrap, [name], ResourceType.TRANSACTIONAL_ID, operation):
        found = problems(config)
        worker = start_worker(config)
        assert worker.wait(60) == 2

    assert found.keys() == {"pipeline"}
    assert found["pipeline"]["message"] == f"this principal may not use the transactional id {name}"
    assert "WRITE" in found["pipeline"]["fix"]
    assert f"may not use the transactional id {name}" in worker.output()
    assert "Traceback" not in worker.output()


def test_asking_for_a_transactional_id_leaves_an_open_transaction_alone(
    broker: Broker, topics: Topics
) -> None:
    topic = topics("payments.predictions")
    config = {"bootstrap.servers": broker.bootstrap, "transactional.id": topic}
    producer = Producer(config, logger=SILENT)
    producer.init_transactions(_ANSWER_WITHIN_S)
    producer.begin_transaction()
    producer.produce(topic, b"before")
    assert producer.flush(_ANSWER_WITHIN_S) == 0

    try_transactional_id(config, within_s=_ANSWER_WITHIN_S)
    producer.produce(topic, b"after")
    producer.commit_transaction(_ANSWER_WITHIN_S)

    assert {record.value for record in read_all(broker.bootstrap, topic)} == {b"before", b"after"}


@pytest.fixture
def lone_node() -> Iterator[Cluster]:
    """Return one broker whose logs of transactions and groups want three."""
    factor = "replication.factor"
    settings = {f"transaction.state.log.{factor}": "3", f"offsets.topic.{factor}": "3"}
    with own_cluster(settings=settings, coordinators=False) as cluster:
        yield cluster


def test_logs_that_want_more_replicas_than_there_are_brokers_end_the_start(
    lone_node: Cluster, tmp_path: Path
) -> None:
    with new_topics(lone_node.bootstrap) as topics:
        events = topics("shop.visits", 1)
        project = make_project(tmp_path, servers=lone_node.bootstrap, topic=events)
        assert said("topics", "create", "-c", project.config).exit_code == 0

        found = problems(project.config)
        with pytest.raises(Misconfigured) as failed:
            require_checked(project.settings())

    assert found.keys() == {"transaction.state.log.replication.factor", "offsets.topic.replication.factor"}
    for problem in found.values():
        assert problem["value"] == "3"
        assert "more replicas than brokers are up (1)" in problem["message"]
    assert {problem.key for problem in failed.value.problems} == found.keys()
    assert failed.value.exit_code == 2
