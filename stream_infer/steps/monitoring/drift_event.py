"""Monitoring events about drift and quality: a record to act on, with a sentence for people.

When an incident opens or ends is decided in `drift.incidents`; the sentences are in `drift_text`, the way of
events to their topic is in `event_output`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_infer.drift.aspects import Signal
from stream_infer.drift.frames import ColumnSummary, ObservationFrame
from stream_infer.drift.incident import (
    Ending,
    Incident,
    IncidentOpened,
    IncidentResolved,
    Nature,
    feature_of,
)
from stream_infer.drift.monitor import ReferenceMissing
from stream_infer.drift.reference import ReferenceColumn
from stream_infer.flow.codes import EventType
from stream_infer.steps.monitoring.drift_text import (
    change_text,
    current_text,
    end_offset_text,
    onset_text,
    subject,
)
from stream_infer.steps.monitoring.event_context import EventContext, stddev, summary_of

_ENDINGS = {
    Ending.RETURNED: "is back to what it was",
    Ending.SETTLED: "has stayed at its new level",
    Ending.REPLACED: "ended with the model that it was seen under",
}


def opened_event(
    pipeline: str, change: IncidentOpened, context: EventContext, time_ms: int
) -> dict[str, object]:
    """Return the event of a new incident."""
    incident, frame, alarm = change.incident, change.frame, change.incident.alarm
    also = ", ".join(dict.fromkeys(subject(signal) for signal in change.also))
    attributes = {
        "raised_by": incident.raised_by,
        "usual": repr(alarm.baseline),
        "value": repr(alarm.value),
    }
    return _event(pipeline, incident, frame, time_ms) | {
        "type": EventType.DRIFT_DETECTED if incident.nature is Nature.DRIFT else EventType.QUALITY,
        "severity": "warning",
        "summary": f"{change_text(alarm, frame, context)} since {onset_text(incident, frame)}"
        f", model {incident.version}" + (f"; with it: {also}" if also else ""),
        "ranges": _ranges(incident, None),
        "drift": _drift(incident, frame, context),
        "attributes": attributes | ({"also": also} if also else {}) | {"state": "open"},
    }


def resolved_event(
    pipeline: str, change: IncidentResolved, context: EventContext, time_ms: int
) -> dict[str, object]:
    """Return the event that ends an incident."""
    incident, frame, signal = change.incident, change.frame, change.incident.alarm.signal
    return _event(pipeline, incident, frame, time_ms) | {
        "type": EventType.DRIFT_RESOLVED if incident.nature is Nature.DRIFT else EventType.QUALITY,
        "severity": "info",
        "summary": f"{subject(signal)} {_ENDINGS[change.ending]}: "
        f"{current_text(signal, frame, context)} at {end_offset_text(frame)}, model {incident.version}",
        "ranges": _ranges(incident, frame),
        "drift": _drift(incident, frame, context),
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
    return {
        "id": f"{pipeline}/{incident.id}/{frame.source.topic}/{frame.source.index}/{frame.last_offset}",
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": incident.id,
        "model_version": incident.version,
        "model_digest": incident.digest,
    }


def _drift(incident: Incident, frame: ObservationFrame, context: EventContext) -> dict[str, object]:
    alarm, signal = incident.alarm, incident.alarm.signal
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


def _ranges(incident: Incident, end: ObservationFrame | None) -> Sequence[Mapping[str, object]]:
    """Return the offsets of an incident in each partition; the last one only where `end` ended it."""
    return [
        {
            "topic": stream.source.topic,
            "partition": stream.source.index,
            "first_offset": track.since_offset,
            "last_offset": end.last_offset if end is not None and end.source == stream.source else None,
        }
        for stream, track in sorted(incident.tracks.items(), key=lambda item: item[0])
    ]
