"""A replay of observations and commands tells what the monitor told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_infer.app.replayed_commands import PlacedCommand, ReplayedTopic, placed_commands
from stream_infer.flow.records import Batch, Cursor
from stream_infer.kafka.batch_parts import batch_of_rows
from stream_infer.steps.monitoring.event_record import parse_event
from tests.support.alarm_streams import Change, Line, moved
from tests.support.on_call import MONITORING, OBSERVATIONS, OnCall

FIRST = 20_000


@pytest.fixture(scope="module")
def person() -> OnCall:
    changes = [Change(moved("weight", 24.0), FIRST), Change(moved("age", 60.0), 40_000)]
    person = OnCall(Line(60_000, 3, changes))
    person.run(
        {
            25_000: lambda one: one.say("accept"),
            42_000: lambda one: one.say("silence", lasting_ms=10**9),
            50_000: lambda one: one.say("accept", "0000"),
            52_000: lambda one: one.say("ignore"),
        }
    )
    return person


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_a_replay_tells_the_same_whatever_the_size_of_its_reads(person: OnCall, size: int) -> None:
    commands = placed_commands([(event, value) for value in person.written if (event := parse_event(value))])
    topic = ReplayedTopic(MONITORING.topic, commands)
    step = person.new_step()
    told = []

    whole = person.observed
    for first in range(0, len(whole), size):
        rows = range(first, min(first + size, len(whole)))
        for part in topic.parts(batch_of_rows(whole, rows)):
            outcome = step(part)
            topic.take(outcome)
            told += [parse_event(value or b"") for out in outcome.outputs[:1] for value in out.values]

    facts = [(one["id"], one["severity"], one["summary"]) for one in told if one and one["attributes"]]
    first_run = [one for _, one in person.told if "0000" not in str(one["incident_id"])]
    assert [one for one in facts if "/reply" not in one[0]] == [
        (one["id"], one["severity"], one["summary"])
        for one in first_run
        if one["type"] != "incident.reply" and one["attributes"]
    ]
    assert len(topic.commands) == 0


def test_commands_that_were_refused_are_not_replayed(person: OnCall) -> None:
    read = [(event, value) for value in person.written if (event := parse_event(value))]

    placed = placed_commands(read)

    actions = [event["attributes"]["action"] for one in placed if (event := parse_event(one.value))]
    assert actions == ["accept", "silence", "ignore"]
    assert [one.before for one in placed] == sorted(one.before for one in placed)


def test_a_command_divides_the_batch_that_it_came_in() -> None:
    batch = Batch(
        cursor=Cursor({}),
        partitions=[OBSERVATIONS, replace(OBSERVATIONS, index=1)],
        partition=[0, 1, 0, 0],
        offset=[10, 90, 11, 12],
        timestamp_ms=[0] * 4,
        keys=[None] * 4,
        values=[b"a", b"b", b"c", b"d"],
        headers=[None] * 4,
        received_ms=0,
    )
    commands = [PlacedCommand(12, b"x"), PlacedCommand(12, b"y"), PlacedCommand(13, b"z")]
    topic = ReplayedTopic("monitoring", commands)

    parts = [(part.partitions[part.partition[0]].topic, part.values) for part in topic.parts(batch)]

    assert parts == [
        ("observations", [b"a", b"b", b"c"]),
        ("monitoring", [b"x"]),
        ("monitoring", [b"y"]),
        ("observations", [b"d"]),
    ]
    assert [one.value for one in topic.commands] == [b"z"]
