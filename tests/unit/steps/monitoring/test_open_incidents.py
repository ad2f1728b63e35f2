"""The list of open incidents follows from the events of the monitoring topic alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stream_infer.steps.monitoring.incident_command import Action, Command, command_event, command_of
from stream_infer.steps.monitoring.open_incidents import OpenIncidents


def event(kind: str, state: str | None = "open", **more: Any) -> dict[str, Any]:
    attributes = more.pop("attributes", {}) | ({} if state is None else {"state": state})
    return {
        "id": "e",
        "type": kind,
        "severity": "warning",
        "time": 1_000,
        "pipeline": "p",
        "incident_id": "4b85",
        "summary": f"{kind} {state}",
        "model_version": "1.0.0",
        "model_digest": "sha256:a",
        "drift": {"signal": "mean", "feature": "amount", "detector": "ADWIN"},
        "attributes": attributes,
    } | more


def said(action: Action, time_ms: int = 2_000, until_ms: int | None = None) -> Mapping[str, Any]:
    return command_event("p", Command("c", "4b85", action, "ann", "known", time_ms, until_ms), "it")


def known(*events: Mapping[str, Any]) -> OpenIncidents:
    incidents = OpenIncidents()
    for one in events:
        incidents.take(one)
    return incidents


def test_the_newest_is_first() -> None:
    incidents = known(event("drift.detected"), event("quality", incident_id="5c", time=3_000))

    assert [one.id for one in incidents.newest_first] == ["5c", "4b85"]
    assert [one.kind for one in incidents.newest_first] == ["quality", "drift"]


@pytest.mark.parametrize(
    ("kind", "drift", "found"),
    [
        ("drift.detected", {"signal": "error", "feature": None, "detector": "HDDM_A"}, "errors"),
        ("liveness", None, "liveness"),
    ],
)
def test_errors_and_silence_are_kinds_of_their_own(
    kind: str, drift: Mapping[str, Any] | None, found: str
) -> None:
    [one] = known(event(kind, drift=drift)).newest_first

    assert one.kind == found


def test_what_joins_is_a_member_and_the_severity_is_the_worst_so_far() -> None:
    joined = {"joined": "null rate of feature 'age'"}
    incidents = known(
        event("drift.detected", attributes={"also": "mean of the score"}),
        event("drift.updated", "updated", severity="critical", attributes=joined, time=5_000),
        event("drift.updated", "settled", severity="info", time=6_000),
    )

    [one] = incidents.newest_first
    assert one.members == ["mean of feature 'amount'", "mean of the score", "null rate of feature 'age'"]
    assert (one.severity, one.state, one.told_ms) == ("critical", "settled", 5_000)
    assert (one.summary, one.newest) == ("drift.detected open", "drift.updated settled")


def test_an_incident_that_ended_is_not_opened_by_an_older_copy_of_its_event() -> None:
    first = event("drift.detected")

    incidents = known(first, event("drift.resolved", "resolved", time=4_000), first)

    assert incidents.newest_first == []
    assert incidents.ended_ms("4b85") == 4_000


def test_events_of_the_first_release_open_and_end_incidents_too() -> None:
    opened = known(event("drift.detected", None))
    ended = known(event("drift.detected", None), event("drift.resolved", None, time=4_000))

    assert [one.subject for one in opened.newest_first] == ["mean of feature 'amount'"]
    assert ended.newest_first == []


def test_a_reminder_tells_of_an_incident_whose_first_event_is_no_longer_there() -> None:
    facts = {"kind": "quality", "since_ms": "500", "cause": "interval"}

    [one] = known(event("incident.reminder", None, drift=None, attributes=facts)).newest_first

    assert (one.kind, one.since_ms, one.told_ms) == ("quality", 500, 1_000)


def test_commands_show_in_the_status() -> None:
    acknowledged = known(event("drift.detected"), said(Action.ACKNOWLEDGE)).newest_first[0]
    silenced = known(event("drift.detected"), said(Action.SILENCE, until_ms=9_000)).newest_first[0]

    assert acknowledged.status(3_000) == "acknowledged"
    assert (silenced.status(3_000), silenced.status(9_000)) == ("silenced", "open")


def test_the_silence_is_over_once_that_was_told() -> None:
    over = event("incident.reminder", None, time=9_500, attributes={"cause": "silence_ended"})

    [one] = known(event("drift.detected"), said(Action.SILENCE, until_ms=9_000), over).newest_first

    assert one.silenced is None
    assert one.told_ms == 9_500


def test_what_is_ignored_is_listed_until_it_is_watched_again_or_the_monitor_refuses() -> None:
    ended = event("drift.resolved", "resolved")
    refused = event("incident.reply", None, attributes={"result": "refused"})

    ignored = known(event("drift.detected"), said(Action.IGNORE), ended)

    assert [one.subject for one in ignored.ignored.values()] == ["mean of feature 'amount'"]
    assert known(event("drift.detected"), said(Action.IGNORE), said(Action.WATCH)).ignored == {}
    assert known(event("drift.detected"), said(Action.IGNORE), refused).ignored == {}


def test_an_id_may_be_shortened_while_it_is_clear() -> None:
    incidents = known(event("drift.detected"), event("quality", incident_id="4b99"))

    assert incidents.named("4b8") == ["4b85"]
    assert incidents.named("4b") == ["4b85", "4b99"]
    assert incidents.named("4b85") == ["4b85"]


def test_a_command_is_read_as_it_was_written_and_one_of_another_release_is_none() -> None:
    command = Command("c", "4b85", Action.SILENCE, "ann", "", 2_000, 9_000)
    record = command_event("p", command, "it")

    assert command_of(record) == command
    assert command_of(record | {"attributes": record["attributes"] | {"action": "sing"}}) is None
    assert command_of(record | {"attributes": record["attributes"] | {"until_ms": "soon"}}) is None
    assert known(event("drift.detected"), record | {"attributes": {"action": "sing"}}).ignored == {}


def test_the_ids_of_the_newest_200_that_ended_are_remembered() -> None:
    many = [event("quality", "resolved", incident_id=f"i{number}") for number in range(201)]

    incidents = known(*many)

    assert incidents.ended_ms("i0") is None
    assert incidents.ended_ms("i1") == 1_000
