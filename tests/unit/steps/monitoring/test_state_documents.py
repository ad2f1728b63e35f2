"""A monitor continues from the state of the release before: its documents keep their keys and their meaning.

`recorded_state.json` was written by release 0.1.0 and stays as it is: a running monitor is upgraded in place,
and finds documents like these on its state topic. It has an open incident, one whose column cools down with
an alarm that waits, a drift of errors, a stream that still learns its baseline, windows and labels under way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.steps.monitoring.recorded import CUT, RECORDS, monitor_step, run

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded_state.json").read_text("utf-8"))
BEFORE, AFTER = range(CUT), range(CUT, len(RECORDS))


def documents(state: dict[str, bytes]) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in state.items()}


def facts(events: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the facts of events, without their sentences."""
    return [[event["id"], event["type"], event["severity"], *_numbers(event)] for event in events]


def _numbers(event: dict[str, Any]) -> list[Any]:
    if event["performance"] is not None:
        return [event["performance"]["metric"], event["performance"]["value"]]
    drift = event["drift"]
    return [drift["detector"], drift["statistic"], drift["threshold"], drift["current"]["mean"]]


def approximately(document: Any) -> Any:
    """Return `document` with numbers that compare within rounding."""
    if isinstance(document, dict):
        return {key: approximately(value) for key, value in document.items()}
    if isinstance(document, list):
        return [approximately(value) for value in document]
    return pytest.approx(document, rel=1e-9) if isinstance(document, float) else document


def test_a_monitor_writes_the_documents_that_the_recorded_release_wrote() -> None:
    state: dict[str, bytes] = {}
    run(monitor_step(), BEFORE, state)

    assert documents(state) == approximately(RECORDED["state"])


def test_a_monitor_continues_from_the_recorded_documents_to_the_recorded_events() -> None:
    recorded = {key: json.dumps(document).encode() for key, document in RECORDED["state"].items()}
    step, state = monitor_step(), dict(recorded)
    step.restore(recorded)

    assert facts(run(step, AFTER, state)) == approximately(RECORDED["events"])


def test_the_recorded_state_has_every_kind_of_document() -> None:
    state = RECORDED["state"]
    incidents, (errors,) = state["incidents"], [d["errors"] for k, d in state.items() if "/model/" in k]

    assert {key.partition("/")[0] for key in state} == {
        "positions", "models", "window", "watch", "column", "incidents", "join", "performance"
    }  # fmt: skip
    assert {key[:7] for key in state if key.startswith("join/")} == {"join/", "join/p/", "join/w/", "join/l/"}
    assert incidents["open"]
    assert incidents["cooling"][0]["waiting"]["detector"] == "PSI"
    assert errors["incident"]
    banks = [document for key, document in state.items() if key.startswith("watch/")]
    assert [bool(bank["first"]) for bank in banks].count(True) == 1
    assert any(bank["learned"] for bank in banks)
    assert any(bank["far"] for bank in banks)
    assert any(document["waiting"] for key, document in state.items() if key.startswith("window/"))
