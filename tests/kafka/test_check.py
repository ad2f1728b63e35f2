"""`check`, `run` and `topics create` as users call them, against a real broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient

from tests.conftest import Topics
from tests.support.broker import Broker
from tests.support.log import partitions_of
from tests.unit.app.project import NOWHERE, Project, make_project

_ANSWER_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command printed and how it ended."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        [line] = self.out.splitlines()
        document: dict[str, Any] = json.loads(line)
        return document

    def problem(self, key: str) -> dict[str, str]:
        [found] = [p for p in self.document["problems"] if p["key"] == key]
        assert found["message"]
        assert found["fix"]
        return dict(found)


def stream_infer(*arguments: str, **settings: str) -> Ended:
    """Run the command as a process of its own, with `settings` in its environment and no others."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_INFER_")}
    environ |= settings
    command = [sys.executable, "-m", "stream_infer.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False, timeout=120)
    assert "Traceback" not in done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def check(project: Project) -> Ended:
    return stream_infer("check", "-c", str(project.config), "--json")


MakeProject = Callable[..., Project]


@pytest.fixture
def admin(broker: Broker) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap})


@pytest.fixture
def make(tmp_path: Path, broker: Broker, topics: Topics, admin: AdminClient) -> Iterator[MakeProject]:
    """Return a maker of projects whose input has some partitions; what they create is deleted."""
    pipelines: list[str] = []

    def project(partitions: int = 2) -> Project:
        topic = topics("shop.visits", partitions)
        pipeline = topic.replace("visits", "scores")
        pipelines.append(pipeline)
        return make_project(tmp_path, servers=broker.bootstrap, topic=topic, pipeline=pipeline)

    yield project
    made = [f"{p}.predictions.v1" for p in pipelines] + [f"dlq.{t}" for t in inputs_of(pipelines)]
    there = [name for name in made if name in admin.list_topics(timeout=_ANSWER_WITHIN_S).topics]
    for deleted in admin.delete_topics(there).values() if there else ():
        deleted.result(_ANSWER_WITHIN_S)


def inputs_of(pipelines: list[str]) -> list[str]:
    return [pipeline.replace("scores", "visits") for pipeline in pipelines]


def groups(admin: AdminClient) -> set[str]:
    return {group.group_id for group in admin.list_consumer_groups().result(_ANSWER_WITHIN_S).valid}


def test_topics_are_made_to_fit_the_input_and_the_check_passes(
    make: MakeProject, broker: Broker, admin: AdminClient
) -> None:
    project = make(partitions=3)
    settings = project.settings()

    created = stream_infer("topics", "create", "-c", str(project.config), "--json")
    again = stream_infer("topics", "create", "-c", str(project.config))
    checked = check(project)

    assert created.exit_code == 0, created.err
    assert [t["result"] for t in created.document["topics"]] == ["created", "created"]
    assert again.out.count("existed") == 2
    for topic in (settings.output.topic, settings.dlq.topic):
        assert len(partitions_of(broker.bootstrap, topic)) == 3
    assert (checked.exit_code, checked.document["problems"]) == (0, [])
    assert settings.group_id not in groups(admin)


def test_a_dry_run_makes_nothing(make: MakeProject, admin: AdminClient) -> None:
    project = make()

    ended = stream_infer("topics", "create", "-c", str(project.config), "--dry-run")

    assert ended.out.count("would be created") == 2
    assert project.settings().output.topic not in admin.list_topics(timeout=_ANSWER_WITHIN_S).topics


def test_topics_that_do_not_exist_are_named_and_not_created(make: MakeProject, admin: AdminClient) -> None:
    project = make()
    project.change(project.settings().input.topics[0], "no.such.topic")

    ended = check(project)

    assert ended.exit_code == 2
    assert ended.problem("input.topics")["value"] == '"no.such.topic"'
    assert "topics create" in ended.problem("output.topic")["fix"]
    assert "does not exist" in ended.problem("dlq.topic")["message"]
    assert (
        not {"no.such.topic", "dlq.no.such.topic"} & admin.list_topics(timeout=_ANSWER_WITHIN_S).topics.keys()
    )


def test_topics_cannot_be_made_for_an_input_that_does_not_exist(make: MakeProject) -> None:
    project = make()
    project.change(project.settings().input.topics[0], "no.such.topic")

    ended = stream_infer("topics", "create", "-c", str(project.config))

    assert ended.exit_code == 2
    assert '  input.topics = "no.such.topic"' in ended.err
    assert "topics create --with-input PARTITIONS" in ended.err


def test_missing_input_and_labels_topics_are_created_when_asked_for(
    tmp_path: Path, broker: Broker, admin: AdminClient
) -> None:
    pipeline = f"shop.{uuid.uuid4().hex[:12]}"
    events, labels = f"{pipeline}.visits.v1", f"{pipeline}.labels.v1"
    project = make_project(tmp_path, servers=broker.bootstrap, topic=events, pipeline=pipeline)
    monitored = f'[labels]\ntopic = "{labels}"\n[monitoring]\ntopic = "{pipeline}.monitoring.v1"\n[output]'
    project.change("[output]", monitored)
    creating = "topics", "create", "-c", str(project.config), "--with-input"

    planned = stream_infer(*creating, "3", "--dry-run", "--json")
    created = stream_infer(*creating, "3", "--json")
    again = stream_infer(*creating, "5", "--json")
    checked = check(project)
    names = [topic["topic"] for topic in created.document["topics"]]
    counts = {name: len(partitions_of(broker.bootstrap, name)) for name in names}
    for deleted in admin.delete_topics(names).values():
        deleted.result(_ANSWER_WITHIN_S)

    assert [t["result"] for t in planned.document["topics"]] == ["would be created"] * len(names)
    assert [t["result"] for t in created.document["topics"]] == ["created"] * len(names)
    assert [t["result"] for t in again.document["topics"]] == ["existed"] * len(names)
    assert names[0] == events
    assert counts[events] == counts[labels] == counts[f"{pipeline}.predictions.v1"] == 3
    assert counts[f"{pipeline}.monitoring.v1"] == 1
    assert (checked.exit_code, checked.document["problems"]) == (0, [])


def test_an_output_with_fewer_partitions_is_told_with_both_numbers_and_the_command(
    make: MakeProject, topics: Topics
) -> None:
    project = make(partitions=3)
    output = topics("shop.predictions", 2)
    project.change("[output]", f'[output]\ntopic = "{output}"')

    ended = check(project)
    creating = stream_infer("topics", "create", "-c", str(project.config))

    problem = ended.problem("output.partitioning")
    assert "has 3 partitions" in problem["message"]
    assert f"{output} has 2" in problem["message"]
    assert f"--alter --topic {output} --partitions 3" in problem["fix"]
    assert ended.exit_code == 2
    assert creating.exit_code == 2
    assert "exists with 2 partitions" in creating.err


def test_an_output_may_have_more_partitions_than_the_input(make: MakeProject, topics: Topics) -> None:
    project = make(partitions=2)
    output, letters = topics("shop.predictions", 3), topics("dlq", 1)
    project.change("[output]", f'[dlq]\ntopic = "{letters}"\n[output]\ntopic = "{output}"')

    assert check(project).exit_code == 0


def test_partitioning_by_key_takes_any_partition_counts(make: MakeProject, topics: Topics) -> None:
    project = make(partitions=2)
    output, letters = topics("shop.predictions", 3), topics("dlq", 1)
    project.change(
        "[output]", f'[dlq]\ntopic = "{letters}"\n[output]\ntopic = "{output}"\npartitioning = "key"'
    )

    assert check(project).exit_code == 0


def test_a_broker_that_does_not_answer_is_exit_code_4(tmp_path: Path) -> None:
    ended = check(make_project(tmp_path))

    assert ended.exit_code == 4
    assert ended.problem("kafka.bootstrap.servers")["value"] == f'"{NOWHERE}"'


def test_run_lists_every_problem_and_joins_no_group(make: MakeProject, admin: AdminClient) -> None:
    project = make()
    settings = project.settings()
    project.declare(amount="string")
    project.change("port = 0", "port = 0\nprot = 1")

    ended = stream_infer("run", "-c", str(project.config))

    assert ended.exit_code == 2
    for key in ("http.prot", "model.package", "output.topic", "dlq.topic"):
        assert f"  {key} = " in ended.err
    assert settings.group_id not in groups(admin)


def test_problems_of_all_kinds_come_at_once_before_the_group_is_joined(
    make: MakeProject, topics: Topics, admin: AdminClient
) -> None:
    project = make(partitions=2)
    settings = project.settings()
    output = topics("shop.predictions", 1)
    project.declare(amount=None, amounts="double")  # a feature that the events no longer have
    project.change("[output]", f'[output]\ntopic = "{output}"')  # fewer partitions than the input
    project.change("topics = [", 'topics = ["no.such.topic", ')
    project.change("port = 0", "port = 0\nprot = 1")  # an unknown key

    ended = stream_infer("run", "-c", str(project.config), STREAM_INFER_INPUT__TOPIC="one")
    checked = stream_infer("check", "-c", str(project.config), "--json", STREAM_INFER_INPUT__TOPIC="one")

    assert ended.exit_code == checked.exit_code == 2
    expected = {
        "http.prot": ("1", "did you mean port?"),
        "STREAM_INFER_INPUT__TOPIC": ("(not shown)", "TOPICS"),  # it may be a secret
        "input.topics": ('"no.such.topic"', "correct the name"),
        "dlq.topic": ("", "topics create"),
        "output.partitioning": ('"source"', 'partitioning = "key"'),
        "model.package": ("", "amounts"),
    }
    problems = {problem["key"]: problem for problem in checked.document["problems"]}
    assert problems.keys() == expected.keys()
    for key, (value, fix) in expected.items():
        assert value in problems[key]["value"]
        assert fix in problems[key]["fix"]
        for part in problems[key].values():
            assert part in ended.err
    assert settings.group_id not in groups(admin)


def test_a_schema_file_that_is_missing_stops_run_before_the_group_is_joined(
    make: MakeProject, admin: AdminClient
) -> None:
    project = make()
    project.change("event.avsc", "evnt.avsc")

    ended = stream_infer("run", "-c", str(project.config))

    assert ended.exit_code == 2
    assert "  input.schema = " in ended.err
    assert "evnt.avsc" in ended.err
    assert project.settings().group_id not in groups(admin)


def test_run_checks_before_it_joins(make: MakeProject, admin: AdminClient) -> None:
    project = make()

    ended = stream_infer("run", "-c", str(project.config))

    assert ended.exit_code == 2
    assert "topics create" in ended.err
    assert project.settings().group_id not in groups(admin)


def test_a_refused_package_is_exit_code_3(make: MakeProject) -> None:
    project = make()
    stream_infer("topics", "create", "-c", str(project.config))
    (project.model / "extra").write_text("x")

    ended = check(project)
    running = stream_infer("run", "-c", str(project.config))

    assert ended.exit_code == running.exit_code == 3
    assert "extra_file" in ended.problem("model.package")["message"]
