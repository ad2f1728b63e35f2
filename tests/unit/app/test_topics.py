from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from stream_infer.app import topics
from stream_infer.app.topics import plan_topics
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka.client import Properties
from stream_infer.kafka.topics import MissingTopic, Topic
from tests.unit.app.project import Project, make_project

EVENTS, OUTPUT, LETTERS, LABELS = "shop.visits.v1", "shop.predictions.v1", "dlq.shop.visits.v1", "shop.labels"
MORE = "shop.visits.v2"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


Exist = Callable[[Mapping[str, Topic]], None]


@pytest.fixture
def exist(monkeypatch: pytest.MonkeyPatch) -> Exist:
    """Return what says which topics a broker has."""

    def has(existing: Mapping[str, Topic]) -> None:
        def describe(_properties: Properties, names: Sequence[str]) -> Mapping[str, Topic | MissingTopic]:
            return {n: existing.get(n, MissingTopic(exists=False, reason="does not exist")) for n in names}

        monkeypatch.setattr(topics, "describe_topics", describe)

    return has


def topic(partitions: int, max_message_bytes: int = 1_000) -> Topic:
    return Topic(partitions, frozenset(), max_message_bytes)


def problems(project: Project, input_partitions: int | None = None) -> Sequence[Problem]:
    with pytest.raises(Misconfigured) as raised:
        plan_topics(project.settings(), input_partitions=input_partitions)
    return raised.value.problems


def test_outputs_get_the_partitions_of_the_input_and_room_for_its_largest_event(
    project: Project, exist: Exist
) -> None:
    exist({EVENTS: topic(3, 5_000_000), LETTERS: topic(2)})

    output, letters = plan_topics(project.settings())

    assert (output.key, output.spec.name, output.partitions, output.existing) == (
        "output.topic",
        OUTPUT,
        3,
        None,
    )
    assert (letters.key, letters.spec.name, letters.partitions) == ("dlq.topic", LETTERS, 2)
    assert int(letters.spec.config["max.message.bytes"]) > 5_000_000


def test_a_missing_input_topic_is_named_with_the_option_that_creates_it(
    project: Project, exist: Exist
) -> None:
    exist({})

    [problem] = problems(project)

    assert (problem.key, problem.value, problem.message) == (
        "input.topics",
        f'"{EVENTS}"',
        "does not exist",
    )
    assert "topics create --with-input PARTITIONS" in problem.fix


def test_with_input_partitions_missing_inputs_come_first_and_the_rest_fits_them(
    project: Project, exist: Exist
) -> None:
    project.change(
        "[output]", f'[labels]\ntopic = "{LABELS}"\n[monitoring]\ntopic = "shop.monitoring"\n[output]'
    )
    exist({})

    planned = plan_topics(project.settings(), input_partitions=4)

    assert [(one.key, one.spec.name) for one in planned][:4] == [
        ("input.topics", EVENTS),
        ("output.topic", OUTPUT),
        ("dlq.topic", LETTERS),
        ("labels.topic", LABELS),
    ]
    assert [one.partitions for one in planned] == [4, 4, 4, 4, 1, 1, 1]


def test_existing_inputs_keep_their_partitions(project: Project, exist: Exist) -> None:
    exist({EVENTS: topic(3)})

    planned = plan_topics(project.settings(), input_partitions=8)

    assert [(one.spec.name, one.partitions) for one in planned] == [(EVENTS, 3), (OUTPUT, 3), (LETTERS, 3)]


def test_an_output_has_the_partitions_of_the_largest_input(project: Project, exist: Exist) -> None:
    project.change(f'topics = ["{EVENTS}"]', f'topics = ["{EVENTS}", "{MORE}"]')
    exist({EVENTS: topic(3)})

    planned = plan_topics(project.settings(), input_partitions=2)

    assert [one.partitions for one in planned] == [3, 2, 3, 3]


def test_an_output_may_have_more_partitions_than_the_input(project: Project, exist: Exist) -> None:
    exist({EVENTS: topic(3), OUTPUT: topic(5)})

    output, _ = plan_topics(project.settings())

    assert output.partitions == 5


def test_an_output_with_fewer_partitions_is_refused_unless_keys_choose_them(
    project: Project, exist: Exist
) -> None:
    exist({EVENTS: topic(3), OUTPUT: topic(2)})

    [problem] = problems(project)
    project.change("[output]", '[output]\npartitioning = "key"')
    output, _ = plan_topics(project.settings())

    assert (problem.key, problem.value) == ("output.topic", f'"{OUTPUT}"')
    assert problem.message == "exists with 2 partitions, and the input has 3"
    assert f"--alter --topic {OUTPUT} --partitions 3" in problem.fix
    assert output.partitions == 2
