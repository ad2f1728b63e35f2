"""Monitoring events about drift and quality: a record to act on, with a sentence for people.

When an incident opens or ends is decided in `drift.incidents`; the sentences are in `drift_text`, the way of
events to their topic is in `event_output`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stream_infer.drift.alarms import Alarm
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.frames import ColumnSummary, ObservationFrame
from stream_infer.drift.incident import (
    Ending,
    Incident,
    IncidentOpened,
    IncidentResolved,
    IncidentSettled,
    IncidentUpdated,
    Nature,
    feature_of,
)
from stream_infer.drift.monitor import ReferenceMissing
from stream_infer.drift.reference import ReferenceColumn
from stream_infer.drift.windows import PIPELINE, WHOLE
from stream_infer.flow.codes import EventType
from stream_infer.steps.monitoring.drift_text import (
    advice,
    change_text,
    compared_text,
    end_offset_text,
    level_text,
    onset_text,
    subject,
    update_text,
)
from stream_infer.steps.monitoring.event_context import EventContext, stddev, summary_of
from stream_infer.steps.monitoring.event_time import format_time

_MOST = 0.5
_WHOLE = {PIPELINE: "pipeline", WHOLE: "partitions"}
"""The names of sources that are no partition; their windows have no offsets."""
_ENDINGS = {
    Ending.RETURNED: "is back to what it was",
    Ending.REPLACED: "ended with the model that it was seen under",
}


def opened_event(
    pipeline: str, change: IncidentOpened, context: EventContext, time_ms: int
) -> dict[str, object]:
    """Return the event of a new incident."""
    incident, frame, alarm = change.incident, change.frame, change.incident.alarm
    also = ", ".join(dict.fromkeys(subject(signal) for signal in change.also))
    compared = compared_text(alarm, context)
    since = format_time(frame.first_time_ms if alarm.since_ms is None else alarm.since_ms)
    attributes = {
        "compared_with": compared,
        "raised_by": incident.raised_by,
        "usual": repr(alarm.baseline),
        "value": repr(alarm.value),
    }
    return _event(pipeline, incident, frame, time_ms) | {
        "type": _type(incident, EventType.DRIFT_DETECTED),
        "severity": _severity(alarm.signal, frame),
        "summary": f"{change_text(alarm, frame, context)} since {onset_text(incident, frame)} ({since}), "
        f"compared with {compared}, model {incident.version}"
        + (f"; with it: {also}" if also else "")
        + f". {advice(alarm.signal)}",
        "ranges": _ranges(incident, {}),
        "drift": _drift(incident.alarm, frame, context),
        "attributes": attributes
        | {"state": "open", "subject": subject(alarm.signal)}
        | ({} if alarm.since_ms is None else {"since_ms": str(alarm.since_ms)})
        | ({"also": also} if also else {}),
    }


def updated_event(
    pipeline: str, change: IncidentUpdated, context: EventContext, time_ms: int
) -> dict[str, object]:
    """Return the event of an incident that something joined, or that moved further."""
    incident, frame = change.incident, change.frame
    told = [*change.joined, *change.moved]
    severities = {_severity(signal, frame) for signal in told}
    about = replace(incident.alarm, signal=told[0], statistic=None, threshold=None)
    names = {"joined": change.joined, "moved": change.moved}
    return _event(pipeline, incident, frame, time_ms) | {
        "type": _type(incident, EventType.DRIFT_UPDATED),
        "severity": "critical" if "critical" in severities else "warning",
        "summary": f"{update_text(change, context)} at {end_offset_text(frame, change.places)}; "
        f"goes on: {subject(incident.alarm.signal)}, model {incident.version}",
        "ranges": _ranges(incident, {}),
        "drift": _drift(about, frame, context),
        "attributes": {"state": "updated"}
        | {key: ", ".join(map(subject, signals)) for key, signals in names.items() if signals},
    }


def settled_event(
    pipeline: str, change: IncidentSettled, context: EventContext, time_ms: int
) -> dict[str, object]:
    """Return the event of an incident that keeps its new level."""
    incident, frame, signal = change.incident, change.frame, change.incident.alarm.signal
    return _event(pipeline, incident, frame, time_ms) | {
        "type": _type(incident, EventType.DRIFT_UPDATED),
        "severity": "info",
        "summary": f"{subject(signal)} keeps its new level: {level_text(signal, frame, context)} "
        f"at {end_offset_text(frame, change.places)}, model {incident.version}",
        "ranges": _ranges(incident, {}),
        "drift": _drift(incident.alarm, frame, context),
        "attributes": {"state": "settled"},
    }


def resolved_event(
    pipeline: str, change: IncidentResolved, context: EventContext, time_ms: int
) -> dict[str, object]:
    """Return the event that ends an incident."""
    incident, frame, signal = change.incident, change.frame, change.incident.alarm.signal
    return _event(pipeline, incident, frame, time_ms) | {
        "type": _type(incident, EventType.DRIFT_RESOLVED),
        "severity": "info",
        "summary": f"{subject(signal)} {_ENDINGS[change.ending]}: {level_text(signal, frame, context)} "
        f"at {end_offset_text(frame, change.places)}, model {incident.version}",
        "ranges": _ranges(incident, _ends(change)),
        "drift": _drift(incident.alarm, frame, context),
        "attributes": {"state": "resolved", "ending": change.ending.value},
    }


def reference_missing_event(pipeline: str, change: ReferenceMissing, time_ms: int) -> dict[str, object]:
    """Return the event of a model whose reference is too small to compare with."""
    frame = change.frame
    return {
        "id": f"{pipeline}/{change.reason}/{frame.digest}",
        "type": EventType.QUALITY,
        "severity": "info",
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": None,
        "summary": f"model {frame.version} has a reference of {change.rows} rows: changes of the stream are "
        "detected, but it is not compared with the training data (PSI, KS)",
        "model_version": frame.version,
        "model_digest": frame.digest,
        "attributes": {"reason": change.reason, "rows": str(change.rows)},
    }


def _event(pipeline: str, incident: Incident, frame: ObservationFrame, time_ms: int) -> dict[str, object]:
    place = f"{frame.source.topic}/{frame.source.index}/{frame.last_offset}"
    if frame.source in _WHOLE:
        place = f"{_WHOLE[frame.source]}/{frame.last_time_ms}"
    return {
        "id": f"{pipeline}/{incident.id}/{place}",
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": incident.id,
        "model_version": incident.version,
        "model_digest": incident.digest,
    }


def _drift(alarm: Alarm, frame: ObservationFrame, context: EventContext) -> dict[str, object]:
    signal = alarm.signal
    column, now = context.column(signal), summary_of(frame, signal)
    return {
        "signal": signal.aspect.value,
        "feature": feature_of(signal),
        "detector": alarm.detector,
        "parameters": dict(alarm.parameters),
        "statistic": alarm.statistic,
        "threshold": alarm.threshold,
        "reference_kind": "training" if column is not None else "first_windows",
        "sample_size": frame.records if now is None else now.count,
        "reference": _first_windows(signal, context) if column is None else _training(column),
        "current": None if now is None else _moments(now),
    }


def _training(column: ReferenceColumn) -> dict[str, object]:
    numbers = bool(column.edges)
    return {
        "count": column.rows,
        "nulls": column.nulls,
        "non_finite": column.non_finite,
        "mean": column.mean if numbers else None,
        "stddev": column.stddev if numbers else None,
        "min": column.low if numbers else None,
        "max": column.high if numbers else None,
    }


def _first_windows(signal: Signal, context: EventContext) -> dict[str, object] | None:
    first = context.first_windows(signal)
    return None if first is None else _moments(first)


def _moments(one: ColumnSummary) -> dict[str, object]:
    numbers = one.count > 0 and not one.kind.endswith("category")
    return {
        "count": one.count,
        "nulls": one.nulls,
        "non_finite": one.non_finite,
        "mean": one.mean if numbers else None,
        "stddev": stddev(one) if numbers else None,
        "min": one.low if numbers else None,
        "max": one.high if numbers else None,
    }


def _type(incident: Incident, of_drift: EventType) -> EventType:
    return of_drift if incident.nature is Nature.DRIFT else EventType.QUALITY


def _severity(signal: Signal, frame: ObservationFrame) -> str:
    """Return "critical" where most records are dead letters, or lack a value that they should have."""
    now = summary_of(frame, signal)
    missing = {
        Aspect.DEAD_LETTERS: frame.dead_letters,
        Aspect.NULLS: now.nulls if now is not None else 0,
        Aspect.NON_FINITE: now.non_finite if now is not None else 0,
    }
    most = missing.get(signal.aspect, 0) >= _MOST * frame.records
    return "critical" if most else "warning"


def _ends(change: IncidentResolved) -> Mapping[tuple[str, int], int]:
    """Return the last offset of each partition of the window that ended an incident."""
    source = change.frame.source
    if not change.places:
        return {(source.topic, source.index): change.frame.last_offset}
    return {(place.topic, place.partition): place.last_offset for place in change.places}


def _ranges(incident: Incident, ends: Mapping[tuple[str, int], int]) -> Sequence[Mapping[str, object]]:
    """Return the offsets of an incident in each partition; a last one only where `ends` has it."""
    firsts: dict[tuple[str, int], int] = {}
    for key_of, track in incident.tracks.items():
        source = key_of.stream.source
        own = {(place.topic, place.partition): place.first_offset for place in track.places}
        for key, first in (own or {(source.topic, source.index): track.since_offset}).items():
            firsts[key] = min(first, firsts.get(key, first))
    return [
        {"topic": topic, "partition": index, "first_offset": first, "last_offset": ends.get((topic, index))}
        for (topic, index), first in sorted(firsts.items())
    ]
