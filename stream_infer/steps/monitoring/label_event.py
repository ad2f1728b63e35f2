"""Monitoring events about labels: figures of a window, estimates without labels, errors that drift.

When there is something to say is `drift.performance`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_infer.drift.error_drift import ErrorDrift, ErrorRecovered
from stream_infer.drift.estimate import ModelId
from stream_infer.drift.labels import LabelWindow
from stream_infer.drift.performance import AccuracyEstimate, PerformanceChange, WindowMetric
from stream_infer.flow.codes import EventType

ESTIMATED_ACCURACY = "estimated_accuracy"

_CALLED = {"log_loss": "log loss", "brier": "Brier score", "mae": "mean absolute error"}


def performance_event(pipeline: str, one: PerformanceChange) -> dict[str, object]:
    """Return the event that says `one`."""
    match one:
        case WindowMetric():
            return _measured(pipeline, one)
        case AccuracyEstimate():
            return _estimated(pipeline, one)
        case ErrorDrift():
            return _error_drift(pipeline, one)
        case ErrorRecovered():
            return _errors_back(pipeline, one)


def _measured(pipeline: str, one: WindowMetric) -> dict[str, object]:
    """Return the event of one figure, with what became of every label of its window."""
    window, figure = one.window, one.value
    than = "" if one.baseline is None else f", {one.baseline:.4g} in its first windows"
    expected = "" if one.estimate is None else f", {one.estimate:.4g} expected from its scores"
    outcomes = {str(fate): str(count) for fate, count in sorted(window.outcomes.items())}
    estimate = {} if one.estimate is None else {"estimate": repr(one.estimate)}
    return _event(pipeline, one.model, window.time_ms) | {
        "id": f"{pipeline}/{one.metric}/{one.model.digest}/{_place(window)}",
        "type": EventType.PERFORMANCE,
        "severity": "info",
        "summary": f"{_CALLED.get(one.metric, one.metric)} of model {one.model.version} is "
        f"{figure.value:.4g} on {figure.labelled} labels{than}{expected}; "
        f"half of them came within {_duration(one.delay_p50_ms)}",
        "ranges": [_range(window.log, window.first_offset, window.last_offset)],
        "performance": {
            "metric": one.metric,
            "value": figure.value,
            "reference_value": one.baseline,
            "predictions": one.predictions,
            "labelled": figure.labelled,
            "label_delay_p50_ms": one.delay_p50_ms,
        },
        "attributes": outcomes | estimate | {"coverage": repr(window.coverage)},
    }


def _estimated(pipeline: str, one: AccuracyEstimate) -> dict[str, object]:
    promised = one.window
    place = f"{promised.log}/{promised.first_offset}"
    mean = promised.bands.mean
    return _event(pipeline, promised.model, promised.time_ms) | {
        "id": f"{pipeline}/{ESTIMATED_ACCURACY}/{promised.model.digest}/{place}",
        "type": EventType.PERFORMANCE,
        "severity": "info",
        "summary": f"accuracy of model {promised.model.version} should be {one.accuracy:.4g} on "
        f"{promised.bands.total} predictions: it is {mean:.4g} sure of them, and {one.labels} labels say "
        "what that is worth",
        "ranges": [_range(promised.log, promised.first_offset, promised.last_offset)],
        "performance": {
            "metric": ESTIMATED_ACCURACY,
            "value": one.accuracy,
            "reference_value": None,
            "predictions": promised.bands.total,
            "labelled": 0,
            "label_delay_p50_ms": None,
        },
        "attributes": {"confidence": repr(mean), "calibrated_on": str(one.labels)},
    }


def _error_drift(pipeline: str, one: ErrorDrift) -> dict[str, object]:
    worse = one.error > one.baseline
    spec = one.detection.spec
    detector = {
        "detector": spec.kind.value,
        "parameters": dict(spec.parameters),
        "statistic": one.detection.statistic,
        "threshold": spec.threshold,
    }
    return _of_incident(pipeline, one) | {
        "id": f"{pipeline}/{one.incident}/detected",
        "type": EventType.DRIFT_DETECTED,
        "severity": "warning" if worse else "info",
        "summary": f"error of model {one.model.version} {'rose' if worse else 'fell'} "
        f"from {one.baseline:.4g} to {one.error:.4g} on {one.labels} labels "
        f"since {one.window.log} offset {one.window.first_offset}",
        "ranges": [_range(one.window.log, one.window.first_offset, None)],
        "drift": _drift(one) | detector,
        "attributes": {"state": "open"},
    }


def _errors_back(pipeline: str, one: ErrorRecovered) -> dict[str, object]:
    ending = "has stayed at its new level" if one.settled else "is back to what it was"
    return _of_incident(pipeline, one) | {
        "id": f"{pipeline}/{one.incident}/resolved",
        "type": EventType.DRIFT_RESOLVED,
        "severity": "info",
        "summary": f"error of model {one.model.version} {ending}: {one.error:.4g}, "
        f"{one.baseline:.4g} at first",
        "ranges": [_range(one.window.log, one.window.first_offset, one.window.last_offset)],
        "drift": _drift(one) | {"detector": "windows"},
        "attributes": {"state": "resolved", "ending": "settled" if one.settled else "returned"},
    }


def _of_incident(pipeline: str, one: ErrorDrift | ErrorRecovered) -> dict[str, object]:
    return _event(pipeline, one.model, one.window.time_ms) | {"incident_id": one.incident}


def _event(pipeline: str, model: ModelId, time_ms: int) -> dict[str, object]:
    return {
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": None,
        "model_version": model.version,
        "model_digest": model.digest,
    }


def _drift(one: ErrorDrift | ErrorRecovered) -> dict[str, object]:
    return {
        "signal": "error",
        "feature": None,
        "reference_kind": "first_windows",
        "sample_size": one.labels,
        "reference": {"count": one.labels, "mean": one.baseline},
        "current": {"count": one.labels, "mean": one.error},
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
