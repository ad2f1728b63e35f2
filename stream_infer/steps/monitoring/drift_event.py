"""Monitoring events about drift and quality: a record that can be acted on, and a sentence that says it.

When there is something to say is `drift`'s business; how an event travels is `monitor`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_infer.drift.alarms import Alarm
from stream_infer.drift.aspects import RECORDS, Aspect, Signal
from stream_infer.drift.frames import OUTPUT_CATEGORY, ColumnSummary, ObservationFrame
from stream_infer.drift.incident import (
    Ending,
    Incident,
    IncidentOpened,
    IncidentResolved,
    Nature,
    feature_of,
)
from stream_infer.drift.monitor import ReferenceMissing
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.flow.codes import EventType

_CALLED = {
    Aspect.SPREAD: "standard deviation",
    Aspect.CATEGORIES: "mix of categories",
    Aspect.UNSEEN: "share of unseen categories",
    Aspect.OUT_OF_RANGE: "share out of the reference's range",
}

_ENDINGS = {
    Ending.RETURNED: "is back to what it was",
    Ending.SETTLED: "has stayed at its new level",
    Ending.REPLACED: "ended with the model that saw it",
}


@dataclass(frozen=True, slots=True)
class EventContext:
    """What a change is held against: the package's reference, and the stream's first looks."""

    reference: Reference | None
    learned: ObservationFrame | None


def opened_event(
    pipeline: str, change: IncidentOpened, backdrop: EventContext, time_ms: int
) -> dict[str, object]:
    """Return the event of a new incident."""
    incident = change.incident
    kind = EventType.DRIFT_DETECTED if incident.nature is Nature.DRIFT else EventType.QUALITY
    alarm = incident.alarm
    also = ", ".join(dict.fromkeys(subject(signal) for signal in change.also))
    attributes = {
        "raised_by": incident.raised_by,
        "usual": repr(alarm.baseline),
        "value": repr(alarm.value),
    }
    return _event(pipeline, incident, change.frame, time_ms) | {
        "type": kind,
        "severity": "warning",
        "summary": f"{_story(incident, change.frame, backdrop)} since {_since(incident, change.frame)}"
        f", model {incident.version}" + (f"; with it: {also}" if also else ""),
        "ranges": _ranges(incident, None),
        "drift": _drift(incident, change.frame, backdrop),
        "attributes": attributes | ({"also": also} if also else {}) | {"state": "open"},
    }


def resolved_event(
    pipeline: str, change: IncidentResolved, backdrop: EventContext, time_ms: int
) -> dict[str, object]:
    """Return the event that ends an incident."""
    incident, frame = change.incident, change.frame
    kind = EventType.DRIFT_RESOLVED if incident.nature is Nature.DRIFT else EventType.QUALITY
    return _event(pipeline, incident, frame, time_ms) | {
        "type": kind,
        "severity": "info",
        "summary": f"{subject(incident.alarm.signal)} {_ENDINGS[change.ending]}: "
        f"{_now(incident, frame, backdrop)} at {_place(frame)}, model {incident.version}",
        "ranges": _ranges(incident, frame),
        "drift": _drift(incident, frame, backdrop),
        "attributes": {"state": "resolved", "ending": change.ending.value},
    }


def reference_missing_event(pipeline: str, change: ReferenceMissing, time_ms: int) -> dict[str, object]:
    """Return the event that says a model's reference is too small to compare with."""
    frame = change.frame
    return {
        "id": f"{pipeline}/{change.reason}/{frame.digest}",
        "type": EventType.QUALITY,
        "severity": "info",
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": None,
        "summary": f"model {frame.version} has a reference of {change.rows} rows: changes of the stream are "
        "found, but it is not compared with the training data (PSI, KS)",
        "model_version": frame.version,
        "model_digest": frame.digest,
        "attributes": {"reason": change.reason, "rows": str(change.rows)},
    }


def subject(signal: Signal) -> str:
    """Return what a signal is about, as one says it."""
    if signal.kind == RECORDS:
        return "dead letters"
    what = _CALLED.get(signal.aspect, signal.aspect.value.replace("_", " "))
    if feature_of(signal):
        return f"{what} of feature '{signal.name}'"
    return f"{what} of the {signal.name}"


def _event(pipeline: str, incident: Incident, frame: ObservationFrame, time_ms: int) -> dict[str, object]:
    return {
        "id": f"{pipeline}/{incident.id}/{frame.source.topic}/{frame.source.index}/{frame.last_offset}",
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": incident.id,
        "model_version": incident.version,
        "model_digest": incident.digest,
    }


def _story(incident: Incident, frame: ObservationFrame, backdrop: EventContext) -> str:
    signal = incident.alarm.signal
    before, now = _figures(signal, frame, backdrop)
    ranked = _by_rank(incident.alarm, frame, backdrop)
    if ranked is None:
        return f"{subject(signal)} went from {before} to {now}"
    return f"{subject(signal)} {ranked}; {_CALLED.get(signal.aspect, 'mean')} from {before} to {now}"


def _by_rank(alarm: Alarm, frame: ObservationFrame, backdrop: EventContext) -> str | None:
    """Return what moved in quantiles, where the moments of the values went the other way.

    Detectors see ranks, which a few extreme values do not move; moments they do.
    """
    column, now = _column(backdrop, alarm.signal), _summary(frame, alarm.signal)
    if column is None or not column.edges or now is None or not sum(now.bins):
        return None
    up = alarm.value > alarm.baseline
    if alarm.signal.aspect is Aspect.MEAN and (now.mean > column.mean) != up:
        before, after = (quantile(shares, column.edges, 0.5) for shares in (column.shares, now.bins))
        return f"{'rose' if up else 'fell'}: median from {_number(before)} to {_number(after)}"
    if alarm.signal.aspect is Aspect.SPREAD and (math.sqrt(now.variance) > column.stddev) != up:
        before, after = (
            quantile(shares, column.edges, 0.75) - quantile(shares, column.edges, 0.25)
            for shares in (column.shares, now.bins)
        )
        return f"{'rose' if up else 'fell'}: quartiles from {_number(before)} to {_number(after)} apart"
    return None


def quantile(shares: Sequence[float], edges: Sequence[float], part: float) -> float:
    """Return the value below which `part` of what is in the bins lies; within a bin, in proportion.

    `shares[0]` and `shares[-1]` lie outside of `edges`, at its ends.
    """
    left = part * sum(shares)
    bounds = zip((edges[0], *edges), (*edges, edges[-1]), strict=True)
    for share, (low, high) in zip(shares, bounds, strict=True):
        if left <= share and share:
            return low + (high - low) * left / share
        left -= share
    return edges[-1]


def _now(incident: Incident, frame: ObservationFrame, backdrop: EventContext) -> str:
    return _figures(incident.alarm.signal, frame, backdrop)[1]


def _figures(signal: Signal, frame: ObservationFrame, backdrop: EventContext) -> tuple[str, str]:
    """Return what a signal's own figure was and is, for people."""
    now = _summary(frame, signal)
    first = None if backdrop.learned is None else _summary(backdrop.learned, signal)
    column = _column(backdrop, signal)
    match signal.aspect:
        case Aspect.DEAD_LETTERS:
            usual = backdrop.learned
            before = "none" if usual is None else _percent(usual.dead_letters, usual.records)
            return before, _percent(frame.dead_letters, frame.records)
        case Aspect.NULLS | Aspect.NON_FINITE:
            return _rates(signal.aspect, frame, now, column, backdrop.learned, first)
        case Aspect.OUT_OF_RANGE:
            return "none in training", _percent(now.bins[0] + now.bins[-1], now.count) if now else "?"
        case Aspect.UNSEEN if column is not None and now is not None:
            return _percent(column.shares[-1], 1), _percent(now.bins[-1], now.count)
        case Aspect.CATEGORIES if column is not None and now is not None:
            return _categories(column, now)
        case Aspect.DISTRIBUTION:
            if column is not None and column.categories and now is not None:
                return _categories(column, now)
            return "that of training", f"another (mean {_number(now.mean if now else None)})"
        case Aspect.SPREAD:
            spread = column.stddev if column is not None else _stddev(first)
            return _number(spread), _number(_stddev(now))
        case _:
            mean = column.mean if column is not None else (first.mean if first else None)
            return _number(mean), _number(now.mean if now else None)


def _rates(
    aspect: Aspect,
    frame: ObservationFrame,
    now: ColumnSummary | None,
    column: ReferenceColumn | None,
    learned: ObservationFrame | None,
    first: ColumnSummary | None,
) -> tuple[str, str]:
    name = "nulls" if aspect is Aspect.NULLS else "non_finite"
    if column is not None:
        before = _percent(getattr(column, name), column.rows)
    else:
        before = _percent(getattr(first, name), learned.records) if first and learned else "?"
    return before, _percent(getattr(now, name), frame.records) if now else "?"


def _categories(column: ReferenceColumn, now: ColumnSummary) -> tuple[str, str]:
    """Return the share of the category that moved most, before and now."""
    names = (*column.categories, "other values")
    moved = max(range(len(names)), key=lambda at: abs(now.bins[at] / max(1, now.count) - column.shares[at]))
    return f"{names[moved]} {_percent(column.shares[moved], 1)}", _percent(now.bins[moved], now.count)


def _drift(incident: Incident, frame: ObservationFrame, backdrop: EventContext) -> dict[str, object]:
    alarm = incident.alarm
    column = _column(backdrop, alarm.signal)
    now = _summary(frame, alarm.signal)
    before = _of_column(column) if column is not None else _of_learned(alarm.signal, backdrop.learned)
    return {
        "signal": alarm.signal.aspect.value,
        "feature": feature_of(alarm.signal),
        "detector": alarm.detector,
        "parameters": dict(alarm.parameters),
        "statistic": alarm.statistic,
        "threshold": alarm.threshold,
        "reference_kind": "training" if column is not None else "first_windows",
        "sample_size": frame.records if now is None else now.count,
        "reference": before,
        "current": None if now is None else _of_summary(now),
    }


def _of_column(column: ReferenceColumn) -> dict[str, object]:
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


def _of_learned(signal: Signal, learned: ObservationFrame | None) -> dict[str, object] | None:
    first = None if learned is None else _summary(learned, signal)
    return None if first is None else _of_summary(first)


def _of_summary(one: ColumnSummary) -> dict[str, object]:
    numbers = one.count > 0 and not one.kind.endswith("category")
    return {
        "count": one.count,
        "nulls": one.nulls,
        "non_finite": one.non_finite,
        "mean": one.mean if numbers else None,
        "stddev": _stddev(one) if numbers else None,
        "min": one.low if numbers else None,
        "max": one.high if numbers else None,
    }


def _ranges(incident: Incident, until: ObservationFrame | None) -> Sequence[Mapping[str, object]]:
    return [
        {
            "topic": stream.source.topic,
            "partition": stream.source.index,
            "first_offset": track.since_offset,
            "last_offset": until.last_offset if until is not None and until.source == stream.source else None,
        }
        for stream, track in sorted(incident.tracks.items(), key=lambda item: item[0])
    ]


def _since(incident: Incident, frame: ObservationFrame) -> str:
    track = next(t for stream, t in incident.tracks.items() if stream.source == frame.source)
    return f"{frame.source.topic}/{frame.source.index} offset {track.since_offset}"


def _place(frame: ObservationFrame) -> str:
    return f"{frame.source.topic}/{frame.source.index} offset {frame.last_offset}"


def _summary(frame: ObservationFrame, signal: Signal) -> ColumnSummary | None:
    return next((s for s in frame.signals if (s.kind, s.name) == (signal.kind, signal.name)), None)


def _column(backdrop: EventContext, signal: Signal) -> ReferenceColumn | None:
    if backdrop.reference is None or signal.kind == RECORDS:
        return None
    column = backdrop.reference.column(signal.kind, signal.name)
    # Labels are counted by category only: without shares there is nothing to say.
    return None if column is not None and signal.kind == OUTPUT_CATEGORY and not column.shares else column


def _stddev(one: ColumnSummary | None) -> float | None:
    return None if one is None else math.sqrt(one.variance)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.3g} %" if whole else "?"
