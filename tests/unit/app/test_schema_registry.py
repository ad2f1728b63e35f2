from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_infer.app import schema_registry
from stream_infer.app.checks.check import CheckReport, run_checks
from stream_infer.app.schema_registry import (
    RegistryUnreachable,
    connect_registry,
    monitoring_event_id,
    register_schemas,
    registry_subjects,
)
from stream_infer.config.schema_registry import RegistryProperties
from stream_infer.flow.errors import Misconfigured, Problem
from tests.architecture.tree import ROOT
from tests.support.registry import Mood, StubRegistry
from tests.unit.app.project import Project, event_schema, make_project

VALUE = "shop.visits.v1-value"
FIELDS: dict[str, object] = {"id": "string", "at": "long", "amount": "double", "visits": "int"}


@pytest.fixture
def stub() -> Iterator[StubRegistry]:
    with StubRegistry() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, stub: StubRegistry) -> Project:
    made = make_project(tmp_path)
    made.change("[input]", f'[schema_registry]\nurl = "{stub.url}"\n[input]\nframing = "confluent"')
    return made


def report_on(project: Project) -> CheckReport:
    return run_checks(project.reading(), timeout_s=0.1)


def of_registry(report: CheckReport) -> list[Problem]:
    """Return the problems, save that this test has no broker."""
    return [problem for problem in report.problems if not problem.key.startswith("kafka.")]


def test_the_model_s_own_schema_is_what_events_are_read_as_when_none_is_named(
    project: Project, stub: StubRegistry
) -> None:
    register_schemas(project.settings())
    project.change('schema = "event.avsc"\n', "")

    report = report_on(project)

    assert of_registry(report) == []
    assert report.events is None or report.events.reader is not None
    assert any(line.startswith("events: Event") for line in report.passed)
    assert any(stub.url in line for line in report.passed)


def test_records_are_registered_under_the_topics_that_they_are_written_to(
    project: Project, stub: StubRegistry
) -> None:
    project.change("[model]", '[monitoring]\ntopic = "shop.monitoring.v1"\n[model]')

    ids = register_schemas(project.settings())

    assert [subject.name for subject in registry_subjects(project.settings())] == list(ids)
    assert list(ids) == ["shop.predictions.v1-value", "shop.monitoring.v1-value"]
    assert register_schemas(project.settings()) == ids
    assert stub.subjects.keys() == ids.keys()


def test_without_the_framing_nothing_is_asked_or_registered(project: Project, stub: StubRegistry) -> None:
    project.change('framing = "confluent"', 'framing = "none"')

    assert register_schemas(project.settings()) == {}
    report_on(project)

    assert stub.asked == []


def test_only_what_is_framed_needs_the_registry(project: Project, stub: StubRegistry) -> None:
    project.change("[output]", '[output]\nframing = "none"')

    assert of_registry(report_on(project)) == []
    assert registry_subjects(project.settings()) == []
    assert stub.asked == [f"GET /subjects/{VALUE}/versions/latest"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({**FIELDS, "visits": "long"}, "visits"),
        ({name: kind for name, kind in FIELDS.items() if name != "amount"}, "amount"),
        ({name: kind for name, kind in FIELDS.items() if name != "id"}, "id"),
    ],
)
def test_newest_events_that_could_not_be_read_are_named(
    project: Project, stub: StubRegistry, fields: dict[str, object], says: str
) -> None:
    register_schemas(project.settings())
    stub.add(VALUE, event_schema(FIELDS))
    assert of_registry(report_on(project)) == []
    stub.add(VALUE, event_schema(fields))

    [problem] = of_registry(report_on(project))

    assert problem.key == "input.topics"
    assert says in problem.message


def test_a_registry_that_does_not_answer_may_do_so_later(project: Project, stub: StubRegistry) -> None:
    stub.become(Mood.FAILING)

    [problem] = of_registry(report_on(project))

    assert problem.key == "schema_registry.url"
    with pytest.raises(RegistryUnreachable) as raised:
        register_schemas(project.settings())
    assert raised.value.exit_code == 4


def test_the_id_of_monitoring_events_is_the_registered_one(project: Project, stub: StubRegistry) -> None:
    project.change("[model]", '[monitoring]\ntopic = "shop.monitoring.v1"\n[model]')
    settings = project.settings()

    with pytest.raises(Misconfigured, match="MonitoringEvent") as raised:
        monitoring_event_id(settings)
    ids = register_schemas(settings)
    found = monitoring_event_id(settings)
    stub.become(Mood.FAILING)

    assert raised.value.problems[0].fix == "register it with `stream-infer topics create`"
    assert found == ids["shop.monitoring.v1-value"]
    with pytest.raises(RegistryUnreachable):
        monitoring_event_id(settings)


def test_monitoring_events_without_the_framing_have_no_id(project: Project, stub: StubRegistry) -> None:
    project.change("[model]", '[monitoring]\ntopic = "shop.monitoring.v1"\n[model]')
    project.change("[output]", '[output]\nframing = "none"')

    assert monitoring_event_id(project.settings()) is None
    assert stub.asked == []


def test_beside_a_model_store_the_schema_must_be_named(project: Project) -> None:
    project.change('schema = "event.avsc"\n', "")
    project.change('package = "model"', 'store = "models"')

    keys = [problem.key for problem in of_registry(report_on(project))]

    assert "input.schema" in keys


def test_a_folder_of_schemas_is_refused(project: Project) -> None:
    project.change('schema = "event.avsc"', 'schema = "."')

    assert "input.schema" in [problem.key for problem in of_registry(report_on(project))]


def test_properties_that_the_client_refuses_are_a_problem() -> None:
    with pytest.raises(Misconfigured, match="its client refuses it"):
        connect_registry(
            RegistryProperties({"url": "http://127.0.0.1:1", "ssl.ca.location": "/no/such/file"})
        )


def test_without_the_extra_the_fix_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stream_infer.kafka.confluent_registry", None)
    monkeypatch.delattr("stream_infer.kafka.confluent_registry", raising=False)

    with pytest.raises(Misconfigured) as raised:
        schema_registry.connect_registry(RegistryProperties({"url": "http://127.0.0.1:1"}))

    assert "[registry]" in raised.value.problems[0].fix


def test_a_worker_without_a_registry_does_not_import_its_client() -> None:
    vendors = ("httpx2", "authlib", "cachetools", "confluent_kafka.schema_registry")
    program = f"import sys, stream_infer.app.worker; print([m for m in {vendors!r} if m in sys.modules])"

    imported = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert imported.stdout.strip() == "[]"
