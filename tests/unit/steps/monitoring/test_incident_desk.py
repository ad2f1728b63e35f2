"""What a person says of an incident, and what the monitor does then: over real streams, in memory."""

from __future__ import annotations

import math

import pytest

from stream_infer.steps.monitoring.open_incidents import OpenIncidents
from tests.support.alarm_streams import Change, Line, moved, put, tell
from tests.support.on_call import OnCall

FIRST, SAID, LATER, END = 20_000, 30_000, 60_000, 80_000
SHIFT = moved("weight", 24.0)


def on_call(*changes: Change, events: int = END, rows: int = 5_000) -> OnCall:
    return OnCall(Line(events, 3, changes, rows=rows))


def test_the_open_incident_is_listed_with_what_is_in_it_and_since_when() -> None:
    person = on_call(Change(SHIFT, FIRST), events=SAID)
    person.run()

    [one] = person.open
    assert (one.kind, one.severity, one.state) == ("drift", "warning", "open")
    assert one.subject == "mean of feature 'weight'"
    assert one.since_ms <= one.told_ms
    assert one.summary == person.told_as("open")[0]["summary"]


def test_what_is_over_is_open_no_more() -> None:
    person = on_call(Change(SHIFT, FIRST, 40_000), events=120_000)
    person.run()

    [resolved] = person.told_as("resolved")
    assert person.open == []
    assert person.step.desk.known.ended_ms(resolved["incident_id"]) == resolved["time"]


@pytest.mark.parametrize("restarts", [False, True])
def test_a_level_that_is_accepted_is_normal_and_worse_is_told(*, restarts: bool) -> None:
    person = on_call(Change(SHIFT, FIRST), Change(moved("weight", 24.0), LATER))

    def accept(person: OnCall) -> None:
        person.say("accept")
        person.read_back()
        if restarts:
            person.restart()

    person.run({SAID: accept})

    [ended] = person.told_as("resolved")
    assert ended["attributes"]["ending"] == "accepted"
    assert "mean of feature 'weight' is accepted as the new normal by ann: known" in ended["summary"]
    opened = person.told_as("open", after=SAID)
    assert [one["drift"]["feature"] for one in opened] == ["weight"]
    assert person.told_as("open", after=LATER) == opened


@pytest.mark.parametrize("rows", [0, 5_000])
def test_nulls_that_are_accepted_are_told_when_they_get_worse_and_not_before(rows: int) -> None:
    changes = [Change(put("height", math.nan), FIRST, share=0.3), Change(put("height", math.nan), LATER)]
    person = on_call(*changes, rows=rows)

    person.run({SAID: lambda one: one.say("accept")})

    assert person.told_as("open", after=SAID) == person.told_as("open", after=LATER)
    [_] = person.told_as("open", after=LATER)
    assert "null rate of feature 'height'" in person.open[0].members


def test_an_ignored_signal_is_told_no_more_until_it_is_watched_again() -> None:
    pulses = [Change(SHIFT, start, start + 10_000) for start in (FIRST, 50_000, 90_000)]
    person = on_call(*pulses, events=110_000)
    ignored: list[str] = []

    def ignore(person: OnCall) -> None:
        ignored.append(person.open[0].id)
        person.say("ignore")

    person.run({25_000: ignore, 75_000: lambda one: one.say("watch", ignored[0])})

    assert person.told_as("resolved")[0]["attributes"]["ending"] == "ignored"
    opened = [at for at, event in person.told if event["attributes"].get("state") == "open"]
    assert [at // 10_000 for at in opened] == [2, 9]


def test_an_incident_goes_on_without_the_ignored_signal() -> None:
    both = [Change(SHIFT, FIRST), Change(moved("age", 40.0), FIRST)]
    person = on_call(*both, events=40_000)
    person.run({SAID: lambda one: one.say("ignore")})

    [opened] = person.told_as("open")
    named, other = sorted(("weight", "age"), key=lambda name: name != opened["drift"]["feature"])
    [one] = person.open
    assert one.id == opened["incident_id"]
    assert f"feature '{other}'" in one.subject
    assert all(f"feature '{named}'" not in member for member in one.members)
    assert f"the incident goes on with {one.subject}" in one.newest


def test_a_silenced_incident_is_information_until_its_silence_ends_and_keeps_its_severity() -> None:
    worse = Change(moved("weight", 60.0), LATER)
    person = on_call(Change(SHIFT, FIRST), worse)
    person.run({SAID: lambda one: one.say("silence", lasting_ms=10**9)})

    updates = person.told_as("updated", after=LATER)
    assert {one["severity"] for one in updates} == {"info"}
    assert {one["attributes"]["severity"] for one in updates} == {"warning"}
    assert person.open[0].severity == "warning"
    assert person.open[0].status(person.now_ms) == "silenced"


def test_commands_and_what_is_open_survive_a_restart() -> None:
    person = on_call(Change(SHIFT, FIRST), events=40_000)
    person.run({25_000: lambda one: one.say("acknowledge")})
    before = person.step.desk.known.to_document()

    person.restart()

    assert person.step.desk.known.to_document() == before
    assert person.open[0].status(person.now_ms) == "acknowledged"
    assert OpenIncidents.from_document(before).to_document() == before


@pytest.mark.parametrize(
    ("action", "incident_id", "said"),
    [
        ("accept", "0000", "is no incident of this pipeline"),
        ("watch", None, "is not ignored"),
        ("silence", None, "ends before it begins"),
    ],
)
def test_a_command_without_meaning_is_answered_with_the_reason(
    action: str, incident_id: str | None, said: str
) -> None:
    person = on_call(Change(SHIFT, FIRST), events=SAID)
    person.run({25_000: lambda one: one.say(action, incident_id)})

    [reply] = [event for _, event in person.told if event["type"] == "incident.reply"]
    assert reply["attributes"]["result"] == "refused"
    assert said in reply["summary"]
    assert len(person.open) == 1


def test_a_monitor_that_nobody_talks_to_tells_the_same() -> None:
    line = Line(40_000, 3, [Change(SHIFT, FIRST)])
    person = OnCall(line)
    person.run()

    assert [one.event["id"] for one in tell(line)] == [
        event["id"] for _, event in person.told if event["drift"] is not None
    ]
