"""Monitoring events about labels: figures of a window, and errors that drift.

When there is something to say is `drift.performance`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from stream_infer.drift.labels import Join
from stream_infer.drift.performance import ErrorDrift, ErrorsBack, Measured, Ranges

_CALLED = {
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "brier": "Brier score",
    "mae": "mean absolute error",
    "estimated_accuracy": "accuracy estimated from the scores",
}


def measured(pipeline: str, one: Measured, join: Join, time_ms: int) -> dict[str, object]:
    """Return the event of one figure of one window, with what became of all labels so far."""
    counts = {name: str(count) for name, count in asdict(join.counts).items()}
    than = "" if one.reference is None else f", {one.reference:.4g} in its first windows"
    return {
        "id": f"{pipeline}/{one.metric}/{_place(one.version, one.labels)}",
        "type": "performance",
        "severity": "info",
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": None,
        "summary": f"{_CALLED[one.metric]} of model {one.version} is {one.value:.4g} on {one.labelled} labels"
        f"{than}; half of them came within {one.delay_p50_ms / 1000:.4g} s",
        "model_version": one.version,
        "ranges": _ranges(one.labels),
        "performance": {
            "metric": one.metric,
            "value": one.value,
            "reference_value": one.reference,
            "predictions": one.predictions,
            "labelled": one.labelled,
            "label_delay_p50_ms": one.delay_p50_ms,
        },
        "attributes": counts | {"coverage": repr(join.coverage)},
    }


def error_drift(pipeline: str, one: ErrorDrift, time_ms: int) -> dict[str, object]:
    """Return the event of errors that are not what they were."""
    worse = one.rate > one.usual
    spec = one.fired.spec
    return _event(pipeline, one, time_ms) | {
        "id": f"{pipeline}/{one.incident}/detected",
        "type": "drift.detected",
        "severity": "warning" if worse else "info",
        "summary": f"error of model {one.version} {'rose' if worse else 'fell'} from {one.usual:.4g} to "
        f"{one.rate:.4g} on {one.sample} labels since {_first(one.labels)}",
        "drift": _drift(one)
        | {
            "detector": spec.kind.value,
            "parameters": dict(spec.parameters),
            "statistic": one.fired.statistic,
            "threshold": spec.threshold,
        },
        "attributes": {"state": "open"},
    }


def errors_back(pipeline: str, one: ErrorsBack, time_ms: int) -> dict[str, object]:
    """Return the event that ends one of `error_drift`."""
    ending = "has stayed at its new level" if one.settled else "is back to what it was"
    return _event(pipeline, one, time_ms) | {
        "id": f"{pipeline}/{one.incident}/resolved",
        "type": "drift.resolved",
        "severity": "info",
        "summary": f"error of model {one.version} {ending}: {one.rate:.4g}, {one.usual:.4g} at first",
        "drift": _drift(one) | {"detector": "windows"},
        "attributes": {"state": "resolved", "ending": "settled" if one.settled else "returned"},
    }


def _event(pipeline: str, one: ErrorDrift | ErrorsBack, time_ms: int) -> dict[str, object]:
    return {
        "time": time_ms,
        "pipeline": pipeline,
        "incident_id": one.incident,
        "model_version": one.version,
        "ranges": _ranges(one.labels),
    }


def _drift(one: ErrorDrift | ErrorsBack) -> dict[str, object]:
    return {
        "signal": "error",
        "feature": None,
        "reference_kind": "first_windows",
        "sample_size": one.sample,
        "reference": {"count": one.sample, "mean": one.usual},
        "current": {"count": one.sample, "mean": one.rate},
    }


def _place(version: str, labels: Ranges) -> str:
    return "/".join([version, *(f"{log}/{first}-{last}" for log, (first, last) in labels.items())])


def _first(labels: Ranges) -> str:
    return ", ".join(f"{log} offset {first}" for log, (first, _) in labels.items())


def _ranges(labels: Ranges) -> Sequence[Mapping[str, object]]:
    ranges = []
    for log, (first, last) in labels.items():
        topic, _, index = log.rpartition("/")
        ranges.append({"topic": topic, "partition": int(index), "first_offset": first, "last_offset": last})
    return ranges
