"""Monitoring events about labels: metrics of a window, estimates without labels, drift of errors.

When there is such an event is decided in `drift.performance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_infer.drift.error_drift import PROMISE, ErrorDrift, ErrorRecovered, LabelsOfOneClass
from stream_infer.drift.estimate import ModelId
from stream_infer.drift.labels import LabelWindow
from stream_infer.drift.metric_limits import ACCURACY_LIMIT, ESTIMATE, SHARES, LimitCrossed
from stream_infer.drift.performance import AccuracyEstimate, PerformanceChange, WindowMetric
from stream_infer.drift.pipeline_levels import LIMIT
from stream_infer.flow.codes import EventType
from stream_infer.steps.monitoring.event_time import format_time

ESTIMATED_ACCURACY = ESTIMATE
_WRONG = "Look at the newest labels, and at what was deployed since; roll back if another model was better"
_UNSURE = "The model has become unsure: look at the features that changed; labels will tell how wrong it is"

_METRICS = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "median_absolute_error": "median absolute error",
}


def performance_event(pipeline: str, change: PerformanceChange) -> dict[str, object]:
    """Return the event of `change`."""
    match change:
        case WindowMetric():
            return _metric_event(pipeline, change)
        case AccuracyEstimate():
            return _estimate_event(pipeline, change)
        case ErrorDrift():
            return _error_drift_event(pipeline, change)
        case ErrorRecovered():
            return _error_recovered_event(pipeline, change)
        case LabelsOfOneClass():
            return _one_class_event(pipeline, change)
        case LimitCrossed():
            return _limit_event(pipeline, change)


def _metric_event(pipeline: str, change: WindowMetric) -> dict[str, object]:
    """Return the event of one metric, with the outcomes of all labels of its window."""
    window, metric = change.window, change.value
    baseline = "" if change.baseline is None else f", {change.baseline:.4g} in its first windows"
    expected = "" if change.estimate is None else f", {change.estimate:.4g} expected from its scores"
    outcomes = {str(outcome): str(count) for outcome, count in sorted(window.outcomes.items())}
    estimate = {} if change.estimate is None else {"estimate": repr(change.estimate)}
    return _event(pipeline, change.model, window.time_ms) | {
        "id": f"{pipeline}/{change.metric}/{change.model.digest}/{_place(window)}",
        "type": EventType.PERFORMANCE,
        "severity": "info",
        "summary": f"{_METRICS.get(change.metric, change.metric)} of model {change.model.version} is "
        f"{metric.value:.4g} on {metric.labelled} labels{baseline}{expected}; "
        f"half of them came within {_duration(change.delay_p50_ms)}",
        "ranges": [_range(window.log, window.first_offset, window.last_offset)],
        "performance": {
            "metric": change.metric,
            "value": metric.value,
            "reference_value": change.baseline,
            "predictions": change.predictions,
            "labelled": metric.labelled,
            "label_delay_p50_ms": change.delay_p50_ms,
        },
        "attributes": outcomes | estimate | {"coverage": repr(window.coverage)},
    }


def _estimate_event(pipeline: str, change: AccuracyEstimate) -> dict[str, object]:
    window = change.window
    confidence = window.bands.mean
    return _event(pipeline, window.model, window.time_ms) | {
        "id": f"{pipeline}/{ESTIMATED_ACCURACY}/{window.model.digest}/{window.log}/{window.first_offset}",
        "type": EventType.PERFORMANCE,
        "severity": "info",
        "summary": f"estimated accuracy of model {window.model.version} is {change.accuracy:.4g} on "
        f"{window.bands.total} predictions: their mean confidence is {confidence:.4g}, calibrated on "
        f"{change.labels} labels",
        "ranges": [_range(window.log, window.first_offset, window.last_offset)],
        "performance": {
            "metric": ESTIMATED_ACCURACY,
            "value": change.accuracy,
            "reference_value": None,
            "predictions": window.bands.total,
            "labelled": 0,
            "label_delay_p50_ms": None,
        },
        "attributes": {"confidence": repr(confidence), "calibrated_on": str(change.labels)},
    }


def _error_drift_event(pipeline: str, change: ErrorDrift) -> dict[str, object]:
    rose = change.error > change.baseline
    window = change.window
    detector = {
        "detector": change.detector,
        "parameters": dict(change.parameters),
        "statistic": change.statistic,
        "threshold": change.threshold,
    }
    what = "error" if change.class_name is None else f"share of missed labels of class {change.class_name!r}"
    told = "detected" if change.opens else f"updated/{change.class_name}/{_place(window)}"
    said = ", which its package promises," if change.detector == PROMISE else ""
    return _incident_event(pipeline, change) | {
        "id": f"{pipeline}/{change.incident}/{told}",
        "type": EventType.DRIFT_DETECTED if change.opens else EventType.DRIFT_UPDATED,
        "severity": "warning" if rose else "info",
        "summary": f"{what} of model {change.model.version} {'rose' if rose else 'fell'} from "
        f"{change.baseline:.4g}{said} to {change.error:.4g} on {change.labels} labels since {window.log} "
        f"offset {window.first_offset}",
        "ranges": [_range(window.log, window.first_offset, None)],
        "drift": _drift(change) | detector,
        "attributes": {"state": "open" if change.opens else "updated", "subject": f"{what} of the model"}
        | ({} if change.class_name is None else {"class": change.class_name}),
    }


def _error_recovered_event(pipeline: str, change: ErrorRecovered) -> dict[str, object]:
    ending = "stays at another level" if change.settled else "is back to what it was"
    window = change.window
    told = f"settled/{_place(window)}" if change.settled else "resolved"
    return _incident_event(pipeline, change) | {
        "id": f"{pipeline}/{change.incident}/{told}",
        "type": EventType.DRIFT_UPDATED if change.settled else EventType.DRIFT_RESOLVED,
        "severity": "info",
        "summary": f"error of model {change.model.version} {ending}: {change.error:.4g}, "
        f"{change.baseline:.4g} at first",
        "ranges": [_range(window.log, window.first_offset, window.last_offset)],
        "drift": _drift(change) | {"detector": "windows"},
        "attributes": {"state": "settled"} if change.settled else {"state": "resolved", "ending": "returned"},
    }


def _one_class_event(pipeline: str, change: LabelsOfOneClass) -> dict[str, object]:
    window, model = change.window, change.model
    incident, state = f"one_class.{model.digest[-16:]}", "resolved" if change.ended else "open"
    summary = (
        f"labels of model {model.version} are no longer of class {change.name!r} alone"
        if change.ended
        else f"labels cover one class: all {change.labels} of model {model.version} are {change.name!r}, "
        f"and it answered otherwise {change.others} times. They say nothing of others: look at which events "
        "get a label"
    )
    return _event(pipeline, model, window.time_ms) | {
        "id": f"{pipeline}/{incident}/{_place(window)}/{state}",
        "type": EventType.QUALITY,
        "severity": "info" if change.ended else "warning",
        "incident_id": incident,
        "summary": summary,
        "ranges": [_range(window.log, window.first_offset, window.last_offset)],
        "attributes": {"state": state, "class": change.name},
    }


def _limit_event(pipeline: str, change: LimitCrossed) -> dict[str, object]:
    estimated, model = change.metric == ESTIMATE, change.model
    name = _METRICS.get(change.metric, change.metric.replace("_", " "))
    key = ACCURACY_LIMIT if estimated else change.metric
    side = "under" if change.metric in SHARES else "over"
    limit = f"the limit of {change.limit:.4g} ([monitoring.limits] {key})"
    if change.first is not None:
        limit, side = f"the {change.first:.4g} of its first predictions", f"far {side}"
    counted = f"{change.count:,} {'predictions' if estimated else 'labels'}"
    since = f"since {format_time(change.time_ms)} ({change.log} offset {change.first_offset})"
    advice = _UNSURE if estimated else _WRONG
    state = "resolved" if change.ended else "open"
    said = f"within {limit} again" if change.ended else f"{side} {limit}, {since}. {advice}"
    summary = f"{name} of model {model.version} is {change.value:.4g} on {counted}, {said}"
    return _event(pipeline, model, change.time_ms) | {
        "id": f"{pipeline}/{change.incident}/{state}",
        "type": EventType.DRIFT_RESOLVED if change.ended else EventType.DRIFT_DETECTED,
        "severity": "info" if change.ended else "warning",
        "incident_id": change.incident,
        "summary": summary,
        "ranges": [_range(change.log, change.first_offset, change.last_offset if change.ended else None)],
        "drift": {
            "signal": "error",
            "feature": None,
            "detector": LIMIT if change.first is None else "Estimate",
            "statistic": change.value,
            "threshold": change.limit,
            "reference_kind": "first_windows",
            "sample_size": change.count,
        },
        "attributes": {"state": state, "metric": change.metric, "subject": f"{name} of the model"}
        | ({"ending": "returned"} if change.ended else {}),
    }


def _incident_event(pipeline: str, change: ErrorDrift | ErrorRecovered) -> dict[str, object]:
    return _event(pipeline, change.model, change.window.time_ms) | {"incident_id": change.incident}


def _event(pipeline: str, model: ModelId, time_ms: int) -> dict[str, object]:
    return {
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": None,
        "model_version": model.version,
        "model_digest": model.digest,
    }


def _drift(change: ErrorDrift | ErrorRecovered) -> dict[str, object]:
    return {
        "signal": "error",
        "feature": None,
        "reference_kind": "first_windows",
        "sample_size": change.labels,
        "reference": {"count": change.labels, "mean": change.baseline},
        "current": {"count": change.labels, "mean": change.error},
    }


def _place(window: LabelWindow) -> str:
    return f"{window.log}/{window.first_offset}"


def _range(log: str, first: int, last: int | None) -> Mapping[str, object]:
    topic, _, index = log.rpartition("/")
    return {"topic": topic, "partition": int(index), "first_offset": first, "last_offset": last}


_UNITS: Sequence[tuple[str, int]] = (("days", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))


def _duration(time_ms: int) -> str:
    unit, size = next((one for one in _UNITS if time_ms >= 2 * one[1]), ("ms", 1))
    return f"{time_ms / size:.3g} {unit}"
