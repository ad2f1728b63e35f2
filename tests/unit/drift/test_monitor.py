"""The state of the monitor is many small documents, of few models."""

from __future__ import annotations

import json
from dataclasses import replace

from benchmarks.drift_streams import Stream, frames, reference, shift
from stream_infer.drift.budget import AlarmBudget
from stream_infer.drift.detector_bank import DetectionPolicy
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.incident import IncidentOpened
from stream_infer.drift.monitor import Document, Monitor, MonitorPolicy

MODELS = 7


def monitor() -> Monitor:
    return Monitor("p", MonitorPolicy(), lambda _: reference())


def test_no_document_grows_with_the_number_of_columns() -> None:
    before, stored = monitor(), dict[str, Document]()
    for frame in frames(Stream(400_000, 1), known=reference()):
        before.take(frame, frame.last_time_ms)
        stored |= {key: one for key, one in before.changed().items() if one is not None}

    columns = [key for key in stored if key.startswith("column/")]
    assert len(columns) == 20 + 2 + 1  # features, score and label, dead letters
    assert max(len(json.dumps(stored[key])) for key in columns) < 10_000


def test_of_many_models_the_newest_few_are_remembered_and_the_rest_is_forgotten() -> None:
    before, stored = monitor(), dict[str, Document]()
    for number in range(MODELS):
        for frame in frames(Stream(4_800, number, batch=1600), known=reference()):
            moved = replace(
                frame,
                digest=f"sha256:{number}",
                window_first_offset=frame.window_first_offset + 4_800 * number,
                window_last_offset=frame.window_last_offset + 4_800 * number,
            )
            before.take(moved, frame.last_time_ms)
        for key, one in before.changed().items():
            stored.pop(key, None)
            if one is not None:
                stored[key] = one

    kept = {key.split("/")[3] for key in stored if key.startswith(("watch/", "column/"))}
    assert kept == {f"sha256:{number}" for number in range(MODELS - 4, MODELS)}

    again = monitor()
    again.restore(stored)
    assert again.records == before.records == 4_800 * MODELS


def test_a_changed_alarm_budget_takes_effect_after_a_restart() -> None:
    def thresholds(policy: MonitorPolicy, documents: dict[str, Document]) -> set[object]:
        again = Monitor("p", policy, lambda _: reference())
        again.restore(documents)
        changed = list(frames(Stream(40_000, 1, (shift("normal_0", 2.0),), 0, batch=1600), known=reference()))
        moved = [replace(one, **_later(one, 100)) for one in changed]
        taken = [change for one in moved for change in again.take(one, one.last_time_ms)]
        return {one.incident.alarm.threshold for one in taken if isinstance(one, IncidentOpened)}

    before, stored = monitor(), dict[str, Document]()
    for frame in frames(Stream(60_000, 1), known=reference()):
        before.take(frame, frame.last_time_ms)
    stored |= {key: one for key, one in before.changed().items() if one is not None}
    lenient = MonitorPolicy(detection=DetectionPolicy(budget=AlarmBudget(alarms=1_000_000.0)))

    assert thresholds(MonitorPolicy(), stored) == {5.96}
    assert thresholds(lenient, stored) == {4.5}


def _later(frame: ObservationFrame, windows: int) -> dict[str, int]:
    fields = ("first_offset", "last_offset", "window_first_offset", "window_last_offset")
    return {name: getattr(frame, name) + windows * 1600 for name in fields}
