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

from stream_infer.flow.records import Batch, Cursor, Partition, Span
from stream_infer.steps.monitoring.state_documents import StateDocuments
from tests.unit.steps.monitoring.recorded import CUT, RECORDS, monitor_step, run

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded_state.json").read_text("utf-8"))
BATCH = Batch(Cursor({Partition("frames", 0): Span(0, 5)}), [], [], [], [], [], [], [], 0)
OF_CLASSES = {"recall", "precision", "f1"}
BEFORE, AFTER = range(CUT), range(CUT, len(RECORDS))


def documents(state: dict[str, bytes]) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in state.items()}


_NEW_KINDS = {"levels", "stream", "watch", "column", "serving", "feed"}
"""The kinds of documents that are new: levels, the stream of all partitions with its detectors, the feed of
labels."""


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


def test_a_monitor_writes_the_documents_that_the_recorded_release_wrote_and_some_of_its_own() -> None:
    state: dict[str, bytes] = {}
    run(monitor_step(), BEFORE, state)
    kept = {key: one for key, one in documents(state).items() if key in RECORDED["state"]}

    assert kept.keys() == RECORDED["state"].keys()
    assert {key.partition("/")[0] for key in documents(state).keys() - kept.keys()} == _NEW_KINDS
    of_incidents = kept.pop("incidents"), RECORDED["state"]["incidents"]
    assert [one.keys() - {"cooling"} for one in of_incidents] == [{"open"}] * 2
    # The series of a column begin again after an incident, so its columns have other values; the first
    # windows are those of the pipeline.
    same = {key: one for key, one in kept.items() if not key.startswith("column/")}
    for key, written in same.items():
        one, before = written, RECORDED["state"][key]
        if key.startswith("watch/"):
            assert one.keys() - before.keys() == {"size", "times_ms", "places", "windows"}
            one = {name: one[name] for name in one.keys() & before.keys() - {"learned"}}
            before = {name: before[name] for name in before.keys() - {"learned", "first"}}
        if "/model/" in key:
            assert {"level", "classes"} <= one["errors"].keys()
            errors = {name: one["errors"][name] for name in one["errors"].keys() - {"level", "classes"}}
            # Rates are compared a little otherwise than in that release.
            values, earlier = errors.pop("values"), before["errors"]["values"]
            assert values == pytest.approx(earlier, rel=0.01)
            before = before | {"errors": {k: v for k, v in before["errors"].items() if k != "values"}}
            first = {name: one["first"][name] for name in one["first"].keys() - OF_CLASSES}
            own = {name: one[name] for name in one.keys() - {"limits"}}
            one = own | {"errors": errors, "first": first}
        assert one == approximately(before)


def test_a_monitor_continues_from_the_recorded_documents_with_their_incidents() -> None:
    recorded = {key: json.dumps(document).encode() for key, document in RECORDED["state"].items()}
    step, state = monitor_step(), dict(recorded)
    step.restore(recorded)

    events = run(step, AFTER, state)

    measured = [event for event in events if event["performance"] is not None]
    told = facts([event for event in measured if event["performance"]["metric"] not in OF_CLASSES])
    assert told == approximately([one for one in RECORDED["events"] if one[1] == "performance"])
    open_before = {one["id"] for one in RECORDED["state"]["incidents"]["open"]}
    ended = {event["incident_id"] for event in events if event["attributes"].get("state") == "resolved"}
    assert open_before <= ended | {one["id"] for one in documents(state)["incidents"]["open"]}


def test_a_stream_that_learned_its_own_baseline_with_an_earlier_release_keeps_it() -> None:
    recorded = {key: json.dumps(document).encode() for key, document in RECORDED["state"].items()}
    step, state = monitor_step(), dict(recorded)
    step.restore(recorded)

    run(step, AFTER, state)

    key = "watch/events/0/sha256:recorded"
    learned, before = documents(state)[key]["learned"], RECORDED["state"][key]["learned"]
    assert {name: learned[name] for name in before} == approximately(before)
    assert documents(state)["stream/sha256:recorded"]["baseline"]["learned"] is not None


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


def test_a_document_of_any_size_fits_into_records_and_is_read_again_as_it_was() -> None:
    limit, state = 3_000, dict[str, bytes]()
    documents = StateDocuments("p", lambda: limit)
    long, short = {"text": "ä" * 10_000}, {"text": "b"}

    def write(changed: dict[str, object]) -> list[int]:
        output = documents.change(changed, BATCH)
        documents.commit()
        for key, value in zip(output.keys, output.values, strict=True):
            name = (key or b"").decode().removeprefix("p/")
            state.pop(name, None)
            if value is not None:
                state[name] = value
        again = StateDocuments("p", lambda: limit)
        read = again.restore(state)
        assert {key: read.get(key) for key in changed} == changed
        assert documents.committed == state
        return [len(value) for value in output.values if value is not None]

    sizes = write({"long": long, "other": short})
    assert max(sizes) < limit
    assert len(sizes) > len(json.dumps(long)) // limit
    limit = 30_000
    assert len(write({"long": long})) < len(sizes)
    write({"long": short})
    assert sorted(state) == ["long", "other", "positions"]
    limit = 3_000
    write({"long": long})
    write({"long": None})
    assert sorted(state) == ["other", "positions"]


def test_a_document_that_was_never_committed_leaves_no_trace() -> None:
    output = StateDocuments("p", lambda: 3_000).change({"gone": None}, BATCH)

    assert output.keys == [b"p/positions"]
