"""What `run_checks` says about labels without a broker: their schema, and the fields that join them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream_infer.app.checks.check import run_checks
from stream_infer.app.label_format import LabelFormat, class_problem
from stream_infer.avro.schemas import parse_schema
from stream_infer.flow.errors import Problem
from stream_infer.models.manifest import OutputContract
from stream_infer.steps.monitoring.label_readers import LabelFields
from tests.unit.app.project import Project, make_project

OUTCOME = {
    "type": "record",
    "name": "Outcome",
    "fields": [
        {"name": "prediction", "type": "string"},
        {"name": "number", "type": "long"},
        {"name": "result", "type": "string"},
        {"name": "infected", "type": ["null", "boolean"]},
        {"name": "examined_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}
LABELS = """\
[monitoring]
topic = "shop.monitoring.v1"
[labels]
topic = "shop.labels.v1"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "outcome.avsc").write_text(json.dumps(OUTCOME))
    return make_project(tmp_path)


def report_on(project: Project, more: str) -> tuple[list[Problem], list[str]]:
    """Return the problems beside the missing broker, and what is right."""
    project.config.write_text(project.config.read_text("utf-8") + LABELS + more, "utf-8")
    report = run_checks(project.reading(), timeout_s=0.2)
    return [p for p in report.problems if p.key != "kafka.bootstrap.servers"], report.passed


def test_labels_of_our_own_type_need_nothing_more(project: Project) -> None:
    problems, passed = report_on(project, "")

    assert problems == []
    assert "labels: io.streaminfer.v1.Label, joined by prediction_id" in passed


def test_a_users_schema_is_joined_by_the_fields_that_are_named(project: Project) -> None:
    problems, passed = report_on(
        project,
        'schema = "outcome.avsc"\nid_field = "prediction"\nlabel_field = "result"\n'
        'time_field = "examined_at"\n',
    )

    assert problems == []
    assert "labels: Outcome, joined by prediction_id" in passed


def test_every_field_that_is_not_there_or_no_such_thing_is_a_problem(project: Project) -> None:
    problems, _ = report_on(
        project,
        'schema = "outcome.avsc"\nid_field = "number"\nlabel_field = "tags"\ntime_field = "number_"\n',
    )

    assert [p.key for p in problems] == ["labels.id_field", "labels.label_field", "labels.time_field"]
    assert 'join = "key"' in problems[0].fix
    assert "an array" in problems[1].message
    assert problems[2].fix == "did you mean number?"


def test_a_time_must_be_one_and_keys_need_no_id(project: Project) -> None:
    problems, _ = report_on(
        project,
        'schema = "outcome.avsc"\njoin = "key"\nlabel_field = "infected"\ntime_field = "infected"\n',
    )

    assert [p.key for p in problems] == ["labels.time_field"]
    assert "no point in time" in problems[0].message


def test_a_schema_that_is_not_there_is_a_problem(project: Project) -> None:
    [problem], _ = report_on(project, 'schema = "nowhere.avsc"\n')

    assert problem.key == "labels.schema"
    assert "does not exist" in problem.message


@pytest.mark.parametrize(
    ("label", "output", "answers"),
    [
        ("infected", OutputContract("classifier", ("no", "yes")), "no, yes"),
        ("number", OutputContract("classifier", ("no", "yes")), "no, yes"),
        ("infected", OutputContract("outlier", ("-1", "1")), "-1, 1"),
        ("infected", OutputContract("regressor"), "numbers"),
        ("infected", OutputContract("classifier", tuple("1234567")), "1, 2, 3, 4, ..."),
        ("result", OutputContract("regressor"), None),
        ("number", OutputContract("regressor"), None),
        ("infected", OutputContract("classifier", ("0.0", "1.0")), None),
        ("infected", OutputContract("classifier", ("False", "True")), None),
        ("number", OutputContract("classifier", ("0.0", "1.0", "other")), None),
    ],
)
def test_labels_that_cannot_be_answers_of_the_model_are_a_problem(
    label: str, output: OutputContract, answers: str | None
) -> None:
    labels = LabelFormat(parse_schema(json.dumps(OUTCOME)), LabelFields("prediction", label))

    problem = class_problem(labels, output)

    found = None if problem is None else (problem.key, problem.value, problem.message.rpartition(" are ")[2])
    assert found == (None if answers is None else ("labels.label_field", f'"{label}"', answers))


def test_check_compares_labels_with_the_package(project: Project) -> None:
    [problem], passed = report_on(
        project, 'schema = "outcome.avsc"\nid_field = "prediction"\nlabel_field = "infected"\n'
    )

    assert problem.message == "is boolean in Outcome, and the model's answers are no, yes"
    assert not any(line.startswith("labels:") for line in passed)
