from __future__ import annotations

from stream_infer.app.open_incident_text import duration_text, incident_document, open_incidents_text
from stream_infer.steps.monitoring.incident_command import Command
from stream_infer.steps.monitoring.open_incidents import IgnoredIncident, OpenIncident, OpenIncidents

NOW_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
INCIDENT = OpenIncident(
    "4b85",
    "drift",
    "warning",
    NOW_MS - 5 * HOUR_MS,
    NOW_MS,
    "mean of feature 'amount' rose",
    "mean of feature 'age' changed too",
    members=["mean of feature 'amount'", "mean of feature 'age'"],
)


def listed(*incidents: OpenIncident) -> list[str]:
    known = OpenIncidents.from_document(
        {"open": [incident_of(one) for one in incidents], "ended": {}, "ignored": {}}
    )
    return list(open_incidents_text("shop", known, NOW_MS))


def incident_of(one: OpenIncident) -> dict[str, object]:
    known = OpenIncidents()
    known._open[one.id] = one
    [document] = known.to_document()["open"]
    return dict(document)


def test_an_incident_is_told_with_its_id_severity_kind_status_age_and_members() -> None:
    assert listed(INCIDENT) == [
        "shop: 1 open incident; no heartbeat of a monitor: this list may be old",
        "",
        "4b85  warning  drift  open  since 2023-11-14 17:13:20+00:00 (5 h)",
        "    mean of feature 'amount' rose",
        "    newest: mean of feature 'age' changed too",
        "    members: mean of feature 'amount', mean of feature 'age'",
    ]


def test_who_said_what_about_it_is_told() -> None:
    until = Command("c", "4b85", "silence", "bob", "", NOW_MS - HOUR_MS, NOW_MS + HOUR_MS)
    said = Command("c", "4b85", "acknowledge", "ann", "I look", NOW_MS - HOUR_MS)
    incident = OpenIncident(
        "4b85", "quality", "critical", NOW_MS, NOW_MS, "dead", "dead", acknowledged=said, silenced=until
    )

    lines = listed(incident)

    assert lines[2] == "4b85  critical  quality  silenced  since 2023-11-14 22:13:20+00:00 (0 s)"
    assert lines[4:] == [
        "    acknowledged by ann at 2023-11-14 21:13:20+00:00: I look",
        "    silenced until 2023-11-14 23:13:20+00:00 by bob at 2023-11-14 21:13:20+00:00",
    ]


def test_that_nothing_is_open_is_told_with_the_life_of_the_monitor_and_what_is_ignored() -> None:
    known = OpenIncidents()
    known.heartbeat_ms = NOW_MS - 90_000
    known.ignored["4b85"] = IgnoredIncident(
        "mean of feature 'amount'", Command("c", "4b85", "ignore", "ann", "", 0)
    )

    assert list(open_incidents_text("shop", known, NOW_MS)) == [
        "shop: no open incidents; last heartbeat of the monitor 90 s ago",
        "",
        "ignored until `stream-infer incident watch ID`:",
        "    4b85  mean of feature 'amount', by ann at 1970-01-01 00:00:00+00:00",
    ]


def test_a_document_has_what_the_text_has() -> None:
    document = incident_document(INCIDENT, NOW_MS)

    assert document["id"] == "4b85"
    assert document["members"] == INCIDENT.members
    assert (document["since"], document["status"]) == (INCIDENT.since_ms, "open")
    assert (document["acknowledged_by"], document["silenced_until"]) == (None, None)


def test_a_time_span_is_told_in_its_largest_unit() -> None:
    spans = [0, 90_000, 2 * HOUR_MS, 47 * HOUR_MS, 48 * HOUR_MS]

    assert [duration_text(one) for one in spans] == ["0 s", "90 s", "2 h", "47 h", "2 days"]
