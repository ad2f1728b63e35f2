from __future__ import annotations

from stream_infer.dashboard.incident_history import MOST_INCIDENTS, IncidentHistory
from tests.unit.dashboard.observed import NOW_MS, drift, event

RANGE = {"topic": "events", "partition": 0, "first_offset": 8_000, "last_offset": None}


def opened(incident: str, at: int = NOW_MS, **fields: object) -> dict[str, object]:
    return dict(
        event("drift.detected", incident, time=at, drift=drift("amount"), ranges=[RANGE], **fields)
        | {"attributes": {"state": "open", **fields.get("attributes", {})}}  # type: ignore[dict-item]
    )


def test_an_incident_goes_from_open_to_resolved_with_all_its_sentences() -> None:
    history = IncidentHistory()
    history.take(opened("a"))
    history.take(
        event("drift.updated", "a", time=NOW_MS + 1, severity="critical", attributes={"state": "updated"})
    )
    [incident] = history.ordered()
    assert (incident.state, incident.severity, incident.is_open) == ("updated", "critical", True)
    assert incident.ranges == [RANGE]

    history.take(event("drift.resolved", "a", time=NOW_MS + 2, severity="info"))

    [incident] = history.ordered()
    assert not incident.is_open
    assert [told.state for told in incident.told] == ["open", "updated", "resolved"]
    assert incident.severity == "critical"


def test_open_incidents_come_first_and_the_newest_of_each_before() -> None:
    history = IncidentHistory()
    for place, name in enumerate("abcd"):
        history.take(opened(name, NOW_MS + place))
    for name in "bd":
        history.take(event("drift.resolved", name))

    assert [one.id for one in history.ordered()] == ["c", "a", "d", "b"]


def test_a_quality_incident_is_one_too_and_ends_by_its_state() -> None:
    history = IncidentHistory()
    history.take(event("quality", "q", attributes={"state": "open"}))
    assert history.ordered()[0].is_open

    history.take(event("quality", "q", attributes={"state": "resolved"}))
    assert not history.ordered()[0].is_open


def test_members_are_those_that_events_list_also_with_commas_in_their_names() -> None:
    history = IncidentHistory()
    history.take(opened("a", attributes={"also": "spread of feature 'x, y', mean of the score"}))
    history.take(
        event("drift.updated", "a", attributes={"state": "updated", "joined": "nulls of feature 'city'"})
    )

    [incident] = history.ordered()

    assert list(incident.members) == [
        "spread of feature 'x, y'",
        "mean of the score",
        "nulls of feature 'city'",
    ]
    assert incident.named_features() == {"amount", "x, y", "city"}
    assert history.concerning("x, y") == [incident]
    assert not history.concerning("y")


def test_an_incident_of_three_hundred_members_has_them_all() -> None:
    history = IncidentHistory()
    also = ", ".join(f"mean of feature 'f{n}'" for n in range(300))
    history.take(opened("a", attributes={"also": also}))

    assert len(history.ordered()[0].members) == 300


def test_an_incident_that_is_told_on_and_on_keeps_its_first_and_newest_sentences() -> None:
    history = IncidentHistory()
    history.take(opened("a"))
    for place in range(1, 100):
        history.take(event("drift.updated", "a", time=NOW_MS + place, attributes={"state": "updated"}))

    [incident] = history.ordered()

    assert len(incident.told) == 20
    assert incident.left_out == 80
    assert incident.told[0].time_ms == NOW_MS
    assert incident.told[-1].time_ms == NOW_MS + 99


def test_of_too_many_the_oldest_that_ended_is_forgotten_first() -> None:
    history = IncidentHistory()
    for place in range(MOST_INCIDENTS):
        history.take(opened(f"i{place}", NOW_MS + place))
    history.take(event("drift.resolved", "i7"))
    history.take(opened("one more", NOW_MS - 1))

    known = {one.id for one in history.ordered()}

    assert len(known) == MOST_INCIDENTS
    assert "i7" not in known
    assert {"i0", "one more"} <= known


def test_an_event_of_no_incident_is_none() -> None:
    history = IncidentHistory()
    history.take(event("model.activated"))

    assert list(history.ordered()) == []


def test_a_feature_has_its_incidents_open_ones_first_also_after_an_event() -> None:
    history = IncidentHistory()
    history.take(opened("a"))
    history.take(opened("b", NOW_MS + 1))
    assert [one.id for one in history.concerning("amount")] == ["b", "a"]

    history.take(event("drift.resolved", "b", time=NOW_MS + 2))
    history.take(opened("c", NOW_MS + 3, attributes={"also": "mean of feature 'city'"}))

    assert [one.id for one in history.concerning("amount")] == ["c", "a", "b"]
    assert [one.id for one in history.concerning("city")] == ["c"]


def test_what_people_say_about_an_incident_is_told_and_changes_no_state() -> None:
    history = IncidentHistory()
    history.take(opened("a"))
    silence = {"action": "silence", "by": "ann", "until_ms": str(NOW_MS + 9)}
    history.take(event("incident.command", "a", time=NOW_MS + 1, severity="info", attributes=silence))
    history.take(event("incident.reminder", "a", time=NOW_MS + 2))
    history.take(event("incident.command", "unknown", attributes=silence))
    [incident] = history.ordered()
    assert [told.state for told in incident.told] == ["open", "silence", "reminder"]
    assert (incident.state, incident.is_open) == ("open", True)

    history.take(event("drift.resolved", "a", time=NOW_MS + 3))
    history.take(event("incident.reply", "a", time=NOW_MS + 4))

    [incident] = history.ordered()
    assert not incident.is_open
