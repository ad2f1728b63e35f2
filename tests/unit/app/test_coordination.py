"""What the brokers' settings mean for a pipeline, without a broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from stream_infer.app.checks.coordination import coordination_problems, group_log_problems
from stream_infer.kafka.broker_refusals import as_misconfigured
from stream_infer.kafka.broker_settings import GROUP_LOG, TRANSACTION_LOG, BrokerSettings
from tests.unit.app.project import make_project

AMPLE = {
    "transaction.max.timeout.ms": "900000",
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}
CONFIG = {
    "transactional.id": "shop.score.w",
    "group.id": "shop.score",
    "transaction.timeout.ms": "20000",
    "session.timeout.ms": "10000",
}


def keys(
    folder: Path, changed: dict[str, str], *, nodes: int = 1, replicas: int = 0, toml: str = ""
) -> set[str]:
    """Return the keys of the problems with a broker that has `changed` settings."""
    project = make_project(folder)
    project.change("[input]", f"{toml}\n[input]")
    broker = BrokerSettings(nodes, AMPLE | changed, dict.fromkeys([GROUP_LOG, TRANSACTION_LOG], replicas))
    found = [*group_log_problems(broker), *coordination_problems(project.settings(), broker)]
    assert all(problem.value and problem.message and problem.fix for problem in found)
    return {problem.key for problem in found}


def test_a_broker_at_its_defaults_has_all_that_is_needed(tmp_path: Path) -> None:
    assert keys(tmp_path, {}) == set()


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"transaction.max.timeout.ms": "15000"}, "kafka.producer.transaction.timeout.ms"),
        ({"group.max.session.timeout.ms": "5000"}, "kafka.consumer.session.timeout.ms"),
        ({"group.min.session.timeout.ms": "31000"}, "kafka.consumer.session.timeout.ms"),
        ({"offsets.topic.replication.factor": "3"}, "offsets.topic.replication.factor"),
        ({"transaction.state.log.replication.factor": "3"}, "transaction.state.log.replication.factor"),
        ({"transaction.state.log.min.isr": "2"}, "transaction.state.log.min.isr"),
    ],
)
def test_a_setting_of_the_broker_that_keeps_a_worker_from_starting_is_named(
    tmp_path: Path, changed: dict[str, str], key: str
) -> None:
    assert keys(tmp_path, changed) == {key}


def test_a_log_that_exists_needs_no_more_brokers(tmp_path: Path) -> None:
    wanted = {"transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2"}

    assert keys(tmp_path, wanted, nodes=1, replicas=3) == set()


def test_the_key_is_the_one_in_the_file(tmp_path: Path) -> None:
    toml = '"transaction.timeout.ms" = 30000\n"session.timeout.ms" = 9000'
    changed = {"transaction.max.timeout.ms": "15000", "group.max.session.timeout.ms": "5000"}

    assert keys(tmp_path, changed, toml=toml) == {"kafka.transaction.timeout.ms", "kafka.session.timeout.ms"}


def test_without_transactions_their_bounds_do_not_matter(tmp_path: Path) -> None:
    changed = {"transaction.max.timeout.ms": "15000", "transaction.state.log.replication.factor": "3"}

    assert keys(tmp_path, changed, toml='[delivery]\nguarantee = "at_least_once"') == set()


def test_unknown_settings_are_no_problem(tmp_path: Path) -> None:
    settings = make_project(tmp_path).settings()

    assert list(coordination_problems(settings, BrokerSettings(1, {}, {}))) == []


@pytest.mark.parametrize(
    ("code", "value", "named"),
    [
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "", "shop.score.w"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "", "shop.score"),
        (KafkaError.INVALID_TRANSACTION_TIMEOUT, "20000", "refuses"),
        (KafkaError.INVALID_SESSION_TIMEOUT, "10000", "refuses"),
    ],
)
def test_errors_that_a_setting_or_a_right_causes_are_problems_with_a_fix(
    code: int, value: str, named: str
) -> None:
    failed = as_misconfigured(KafkaError(code), CONFIG)

    assert failed is not None
    [problem] = failed.problems
    assert problem.value == value
    assert named in problem.message
    assert problem.fix
    assert failed.exit_code == 2


def test_other_errors_are_none_of_the_settings(tmp_path: Path) -> None:
    assert as_misconfigured(KafkaError(KafkaError.NOT_COORDINATOR), CONFIG) is None
