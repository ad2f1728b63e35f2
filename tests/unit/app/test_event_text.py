from __future__ import annotations

from typing import Any

from stream_infer.app.event_text import event_text

DRIFT = {"detector": "PageHinkley", "statistic": 14.234567, "threshold": 8.9}
EVENT: dict[str, Any] = {
    "time": 1_700_000_000_000,
    "severity": "warning",
    "type": "drift.detected",
    "summary": "mean of feature 'amount' went from 1 to 2 since orders/0 offset 7, model 1.0.0",
    "drift": DRIFT,
    "performance": None,
    "ranges": [{"topic": "orders", "partition": 0, "first_offset": 7, "last_offset": None}],
    "incident_id": "4b85",
}


def test_a_drift_is_told_by_its_summary_who_saw_it_and_its_incident() -> None:
    assert event_text(EVENT) == (
        "2023-11-14 22:13:20+00:00  warning  drift.detected     "
        "mean of feature 'amount' went from 1 to 2 since orders/0 offset 7, model 1.0.0 "
        "[PageHinkley 14.23 over 8.9; incident 4b85]"
    )


def test_where_else_it_is_seen_is_told_too() -> None:
    elsewhere = {"topic": "orders", "partition": 3, "first_offset": 9, "last_offset": 40}

    told = event_text(EVENT | {"ranges": [*EVENT["ranges"], elsewhere], "drift": DRIFT | {"statistic": None}})

    assert told.endswith("[PageHinkley; orders/0 7.., orders/3 9..40; incident 4b85]")


def test_other_events_are_told_by_their_summary() -> None:
    assert event_text(EVENT | {"drift": None, "summary": "picky 2 serves"}).endswith("picky 2 serves")
