"""The environment over the file: `STREAM_INFER_<SECTION>__<KEY>`, and unknown variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_infer.config.settings import Settings, load_settings, read_settings
from stream_infer.flow.errors import Problem
from stream_infer.kafka import client

FILE = """\
pipeline = "payments.fraud"
[kafka]
"bootstrap.servers" = "file:9092"
sasl.password = { file = "secret" }
[input]
topics = ["a"]
schema = "a.avsc"
[model]
package = "m"
[http]
port = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("hunter2\n")
    file = tmp_path / "worker.toml"
    file.write_text(FILE, "utf-8")
    return file


def with_variables(path: Path, **variables: str) -> Settings:
    return load_settings(path, {f"STREAM_INFER_{name}": value for name, value in variables.items()})


def problem_with(path: Path, name: str, value: str = "x") -> Problem:
    [problem] = read_settings(path, {name: value}).problems
    return problem


def test_a_variable_wins_over_the_file(path: Path) -> None:
    settings = with_variables(path, PIPELINE="other", HTTP__PORT="2", WORKER__SLOT="7")

    assert settings.pipeline == "other"
    assert settings.http.port == 2
    assert settings.worker.slot == "7"


@pytest.mark.parametrize("text", ["x.y, z", '["x.y", "z"]'])
def test_a_list_is_written_with_commas_or_as_json(path: Path, text: str) -> None:
    assert with_variables(path, INPUT__TOPICS=text).input.topics == ("x.y", "z")


def test_an_underscore_is_a_dot_below_kafka(path: Path) -> None:
    kafka = with_variables(
        path,
        KAFKA__BOOTSTRAP_SERVERS="env:9092",
        KAFKA__PRODUCER__LINGER_MS="7",
        KAFKA__SASL__USERNAME="me",
    ).kafka

    assert client.admin(kafka) == {
        "bootstrap.servers": "env:9092",
        "sasl.password": "hunter2",
        "sasl.username": "me",
    }
    assert client.producer(kafka, transactional_id=None, client_id="c")["linger.ms"] == "7"


def test_a_secret_in_the_environment_replaces_the_one_in_a_file(path: Path) -> None:
    kafka = load_settings(path, {"STREAM_INFER_KAFKA__SASL_PASSWORD": "swordfish"}).kafka

    assert client.admin(kafka)["sasl.password"] == "swordfish"


def test_a_secret_may_be_in_a_file_that_a_variable_names(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("swordfish")

    kafka = with_variables(path, KAFKA__SASL_PASSWORD__FILE=str(other)).kafka

    assert client.admin(kafka)["sasl.password"] == "swordfish"


@pytest.mark.parametrize(
    "variable",
    [
        "STREAM_INFER_CONFIG",
        "STREAM_INFER_LOG_LEVEL",
        "STREAM_INFER_LOG_FORMAT",
        "STREAM_INFER_TEST_BOOTSTRAP",
        "STREAM_INFER_REQUIRE_KAFKA",
        "STREAM_INFER_SERVICE_HOST",  # Kubernetes makes these for a Service of our name
        "STREAM_INFER_PORT_8900_TCP",
        "KAFKA__BOOTSTRAP_SERVERS",
    ],
)
def test_some_variables_are_not_settings(path: Path, variable: str) -> None:
    assert read_settings(path, {variable: "x"}).problems == ()


@pytest.mark.parametrize(
    ("variable", "fix"),
    [
        ("STREAM_INFER_INPUT__TOPIC", "STREAM_INFER_INPUT__TOPICS"),
        ("STREAM_INFER_IMPUT__TOPICS", "STREAM_INFER_INPUT__TOPICS"),
        ("STREAM_INFER_HTTP__PORT__X", "STREAM_INFER_HTTP__PORT"),
        ("STREAM_INFER_NOTHING__LIKE_IT", "unset it"),
        ("STREAM_INFER_KAFKA__", "unset it"),
        ("STREAM_INFER_LABELS__TOPICS", "STREAM_INFER_LABELS__TOPIC"),
    ],
)
def test_an_unknown_variable_is_a_problem_with_a_suggestion(path: Path, variable: str, fix: str) -> None:
    problem = problem_with(path, variable)

    assert problem.key == variable
    assert fix in problem.fix


def test_a_wrong_value_names_the_variable_that_it_came_from(path: Path) -> None:
    problem = problem_with(path, "STREAM_INFER_HTTP__PORT", "eighty")

    assert problem.key == "http.port"
    assert problem.value == '"eighty"'
    assert "STREAM_INFER_HTTP__PORT" in problem.message


def test_a_property_of_the_worker_is_refused_from_the_environment_too(path: Path) -> None:
    problem = problem_with(path, "STREAM_INFER_KAFKA__CONSUMER__ISOLATION_LEVEL", "read_uncommitted")

    assert problem.key == "kafka.consumer.isolation.level"
    assert "STREAM_INFER_KAFKA__CONSUMER__ISOLATION_LEVEL" in problem.message
