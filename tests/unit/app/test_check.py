"""What a check finds without a broker: files, package, fields, port; and that nobody answers."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from stream_infer.app.checks.check import CheckFailed, CheckReport, require_checked_on_mock, run_checks
from stream_infer.flow.errors import Problem
from stream_infer.kafka.mock import mock_broker
from stream_infer.models.package import verify, write_package
from stream_infer.store.model_store import ModelStore, Request
from tests.unit.app.project import FIELDS, NOWHERE, Project, event_schema, golden_of, make_project
from tests.unit.models.builders import CONVERTED, graph_of, pickled

SOON_S = 0.2
"""How long these tests wait for the broker that is not there."""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def on_mock(project: Project) -> Iterator[Project]:
    with mock_broker() as servers:
        project.change(NOWHERE, servers)
        yield project


def report_on(project: Project) -> CheckReport:
    return run_checks(project.reading(), timeout_s=SOON_S)


def beside_the_broker(report: CheckReport) -> list[Problem]:
    """Return the problems without the one that all these tests have: no broker."""
    problems = [p for p in report.problems if p.key != "kafka.bootstrap.servers"]
    assert all(p.message and p.fix for p in problems)
    assert len(problems) == len(report.problems) - 1
    return problems


def test_a_broker_that_does_not_answer_is_exit_code_4_when_all_else_is_well(project: Project) -> None:
    report = run_checks(project.reading(), timeout_s=1.0)

    [problem] = report.problems
    assert problem.value == f'"{NOWHERE}"'
    assert "onnection refused" in problem.message
    assert report.exit_code == 4


def test_what_is_right_is_said_too(project: Project) -> None:
    said = " ".join(report_on(project).passed)

    assert "pipeline shop" in said
    assert "events: Event" in said
    assert "package: fraud 1.2.0, sha256:" in said
    assert "2 features" in said


def test_a_schema_file_that_is_missing_is_named(project: Project) -> None:
    project.schema.unlink()

    [problem] = beside_the_broker(report_on(project))

    assert (problem.key, problem.value) == ("input.schema", f'"{project.schema}"')


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ('"long"', "has to be a record"), ('{"type": "record"}', "name")],
)
def test_a_schema_that_cannot_be_admitted_is_refused_with_the_reason(
    project: Project, content: str, message: str
) -> None:
    project.schema.write_text(content)

    [problem] = beside_the_broker(report_on(project))

    assert problem.key == "input.schema"
    assert message in problem.message


def test_a_folder_of_schemas_needs_a_framing_that_tells_them_apart(project: Project) -> None:
    folder = project.folder / "schemas"
    folder.mkdir()
    project.schema.rename(folder / "event.avsc")
    project.change('"event.avsc"', '"schemas"')

    [problem] = beside_the_broker(report_on(project))
    assert "single-object" in problem.fix

    project.change("[input]", '[input]\nframing = "single-object"')
    assert beside_the_broker(report_on(project)) == []


def test_every_bad_file_of_a_folder_is_named(project: Project) -> None:
    folder = project.folder / "schemas"
    folder.mkdir()
    (folder / "a.avsc").write_text("{")
    (folder / "b.avsc").write_bytes(b"\xff")
    project.change('schema = "event.avsc"', 'schema = "schemas"\nframing = "single-object"')

    problems = beside_the_broker(report_on(project))

    assert [Path(p.value.strip('"')).name for p in problems] == ["a.avsc", "b.avsc"]


def test_writers_of_a_folder_may_differ_where_the_package_has_a_default(project: Project) -> None:
    folder = project.folder / "schemas"
    folder.mkdir()
    (folder / "new.avsc").write_text(event_schema(FIELDS))
    (folder / "old.avsc").write_text(event_schema({k: v for k, v in FIELDS.items() if k != "visits"}))
    project.change('schema = "event.avsc"', 'schema = "schemas"\nframing = "single-object"')

    [problem] = beside_the_broker(report_on(project))

    assert problem.key == "model.package"
    assert "'visits'" in problem.message


def test_a_package_that_is_not_there_is_a_matter_of_configuration(project: Project) -> None:
    project.change('"model"', '"modle"')

    report = report_on(project)

    [problem] = beside_the_broker(report)
    assert problem.key == "model.package"
    assert report.exit_code == 2


def test_a_package_with_a_flipped_byte_is_refused_and_not_loaded(project: Project) -> None:
    model = project.model / "model.joblib"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)

    report = report_on(project)

    [problem] = beside_the_broker(report)
    assert "(digest)" in problem.message
    assert not any("loads" in line for line in report.passed)


def test_a_package_that_gives_other_answers_than_its_golden_rows_is_refused(project: Project) -> None:
    before = verify(project.model)
    other = LogisticRegression().fit(np.array([[0.0, 0.0], [1.0, 1.0]]), ["yes", "no"])
    shutil.rmtree(project.model)
    write_package(project.model, before.manifest, {**before.files, "golden.avro": golden_of(other)})

    report = report_on(project)

    [problem] = beside_the_broker(report)
    assert problem.key == "model.package"
    assert "refused (golden)" in problem.message


def test_a_converted_model_whose_library_is_missing_is_refused_with_what_to_install(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.array([[0.0, 0.0], [1.0, 1.0]])
    forest = RandomForestClassifier(3, random_state=0).fit(rows, ["no", "yes"])
    before = verify(project.model)
    shutil.rmtree(project.model)
    changed = {
        "model.joblib": pickled(forest),
        "model.onnx": graph_of(forest),
        "golden.avro": golden_of(forest),
    }
    write_package(project.model, replace(before.manifest, **CONVERTED), {**before.files, **changed})
    installed = report_on(project)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed

    report = report_on(project)

    [problem] = beside_the_broker(report)
    assert problem.key == "model.package"
    assert "pip install 'stream-infer-worker[onnx]'" in problem.message
    assert beside_the_broker(installed) == []


def test_the_exit_code_is_3_when_only_the_package_is_refused(on_mock: Project) -> None:
    (on_mock.model / "extra").write_text("x")

    with pytest.raises(CheckFailed) as raised:
        require_checked_on_mock(on_mock.settings())

    assert raised.value.exit_code == 3


@pytest.mark.parametrize(
    ("change", "message", "fix"),
    [
        ({"amount": None, "amounts": "double"}, "'amount', which is not a field", "did you mean amounts?"),
        ({"amount": "string"}, "as double; in Event it is string", "made for this schema"),
        ({"visits": "long"}, "as int; in Event it is long", "made for this schema"),
        ({"visits": {"type": "array", "items": "int"}}, "which is an array", "made for this schema"),
        ({"visits": {"type": "int", "logicalType": "date"}}, "it is date", "made for this schema"),
    ],
)
def test_a_feature_that_the_events_do_not_have_is_named(
    project: Project, change: dict[str, object], message: str, fix: str
) -> None:
    project.declare(**change)

    report = report_on(project)

    [problem] = beside_the_broker(report)
    assert problem.key == "model.package"
    assert message in problem.message
    assert fix in problem.fix
    assert report.exit_code == 2


def test_a_wider_feature_takes_a_narrower_field(project: Project) -> None:
    project.declare(amount="float")

    assert beside_the_broker(report_on(project)) == []


@pytest.mark.parametrize(
    ("line", "by", "key"),
    [
        ('copy = ["id"]', 'copy = ["ident"]', "output.copy"),
        ('copy = ["id"]', 'copy = ["tags"]', "output.copy"),
        ('event_time = "at"', 'event_time = "id"', "input.event_time"),
        ('event_time = "at"', 'event_time = "when"', "input.event_time"),
    ],
)
def test_a_field_that_predictions_carry_must_be_in_the_events(
    project: Project, line: str, by: str, key: str
) -> None:
    project.change(line, by)

    assert [p.key for p in beside_the_broker(report_on(project))] == [key]


def test_a_busy_port_is_a_problem_of_its_own(project: Project, busy_port: int) -> None:
    project.change("port = 0", f"port = {busy_port}")

    [problem] = beside_the_broker(report_on(project))

    assert (problem.key, problem.value) == ("http.port", str(busy_port))


def test_an_address_of_another_machine_cannot_be_listened_on(project: Project) -> None:
    project.change("port = 0", 'port = 0\nhost = "192.0.2.1"')

    assert [p.key for p in beside_the_broker(report_on(project))] == ["http.host"]


def test_problems_of_every_kind_come_at_once(project: Project) -> None:
    project.schema.unlink()
    (project.model / "extra").write_text("x")
    project.change("port = 0", "port = 0\nprot = 1")

    report = report_on(project)

    assert [p.key for p in report.problems] == [
        "http.prot",
        "input.schema",
        "model.package",
        "kafka.bootstrap.servers",
    ]
    assert report.exit_code == 2


def test_stand_ins_for_what_is_wrong_are_not_checked(project: Project) -> None:
    project.change('schema = "event.avsc"\n', "")
    project.change('package = "model"\n', "")

    assert {p.key for p in beside_the_broker(report_on(project))} == {"input.schema", "model.package"}


def test_nobody_is_asked_with_credentials_that_are_wrong(project: Project) -> None:
    project.change("[input]", '"sasl.pasword" = "x"\n[input]')

    report = report_on(project)

    assert [p.key for p in report.problems] == ["kafka.sasl.pasword"]
    assert "not asked" in report.skipped[0]


def test_a_file_that_cannot_be_read_is_the_only_problem(project: Project) -> None:
    project.config.unlink()

    report = report_on(project)

    assert [p.key for p in report.problems] == [str(project.config)]
    assert report.exit_code == 2


def test_a_worker_on_the_mock_starts_from_what_the_mock_knows(on_mock: Project) -> None:
    ready = require_checked_on_mock(on_mock.settings())

    assert ready.topics.partitions["shop.visits.v1"] == ready.topics.partitions["shop.predictions.v1"]
    assert ready.events.event_time == "at"
    assert ready.package is not None
    assert ready.package.manifest.name == "fraud"


def test_a_worker_does_not_start_with_problems(on_mock: Project) -> None:
    on_mock.schema.unlink()

    with pytest.raises(CheckFailed) as raised:
        require_checked_on_mock(on_mock.settings())

    assert [p.key for p in raised.value.problems] == ["input.schema"]
    assert raised.value.exit_code == 2


def test_what_a_package_was_made_for_is_warned_of_or_refused_as_the_settings_say(project: Project) -> None:
    project.declare(amount="float")

    warned = report_on(project)
    project.change('package = "model"', 'package = "model"\non_difference = "refuse"')
    refused = beside_the_broker(report_on(project))

    assert "feature 'amount' reads 'amount', which was double and is float in Event" in warned.warned
    assert beside_the_broker(warned) == []
    assert [(p.key, p.message) for p in refused] == [("model.package", reason) for reason in warned.warned]


def test_a_pickle_is_refused_before_it_is_loaded_where_the_settings_say_so(project: Project) -> None:
    project.change('package = "model"', 'package = "model"\npickles = "refuse"')

    [problem] = beside_the_broker(report_on(project))

    assert problem.key == "model.package"
    assert "refused (pickle): model.joblib is a pickle, and [model] pickles refuses those" in problem.message


def in_a_store(project: Project, *packages: Path) -> None:
    """Let the model come from a store in which `packages` were promoted."""
    store = project.folder / "models"
    store.mkdir()
    for package in packages:
        ModelStore(store, "shop").promote(package, Request("me"))
    project.change('package = "model"', 'store = "models"')


def test_a_package_can_be_checked_before_it_is_promoted(project: Project) -> None:
    in_a_store(project, project.model)
    project.declare(visits=None)

    report = run_checks(project.reading(), package=project.model, timeout_s=SOON_S)

    [problem] = beside_the_broker(report)
    assert "'visits', which is not a field" in problem.message
    assert not any(line.startswith("desired") for line in report.passed)


def test_labels_that_cannot_be_answers_of_the_desired_model_are_warned_of(project: Project) -> None:
    in_a_store(project, project.model)
    schema = {"type": "record", "name": "Outcome", "fields": [{"name": "bad", "type": "boolean"}]}
    (project.folder / "outcome.avsc").write_text(json.dumps(schema))
    labels = '[labels]\ntopic = "labels"\nschema = "outcome.avsc"\njoin = "key"\nlabel_field = "bad"\n'
    project.config.write_text(project.config.read_text("utf-8") + labels, "utf-8")

    warned = report_on(project).warned

    reason = "is boolean in Outcome, and the model's answers are no, yes"
    assert f'desired: labels.label_field "bad" {reason}' in warned


def test_a_desired_package_that_will_be_refused_is_warned_of(project: Project) -> None:
    in_a_store(project, project.model)
    known = report_on(project)
    project.declare(visits=None)

    report = report_on(project)

    assert "desired: fraud 1.2.0, generation 1" in known.passed
    assert not any("refused" in line for line in known.warned)
    assert beside_the_broker(report) == []
    assert any("desired: refused (schema): feature 'visits'" in line for line in report.warned)
    assert any("nothing serves in its place" in line for line in report.warned)


def test_a_store_in_which_nothing_is_desired_keeps_a_worker_from_starting(project: Project) -> None:
    in_a_store(project)

    [problem] = beside_the_broker(report_on(project))

    assert (problem.key, "nothing was promoted" in problem.message) == ("model.store", True)


def test_limits_that_no_feature_of_the_package_can_exceed_are_told(project: Project) -> None:
    limits = """
[monitoring]
topic = "shop.monitoring.v1"
[monitoring.limits]
unseen_rate = 0.1
[monitoring.limits.features.amoun]
null_rate = 0.1
[monitoring.limits.features.visits]
out_of_range_rate = 0.2
"""
    project.config.write_text(project.config.read_text("utf-8") + limits, "utf-8")

    problems = {
        one.key.removeprefix("monitoring.limits."): one for one in beside_the_broker(report_on(project))
    }

    assert set(problems) == {"unseen_rate", "features.amoun", "features.visits.out_of_range_rate"}
    assert problems["features.amoun"].fix == "did you mean amount?"
    assert "--reference" in problems["unseen_rate"].fix
