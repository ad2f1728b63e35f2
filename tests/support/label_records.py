"""Predictions and labels as bytes and back, with fastavro and the published schemas: none of our code."""

from __future__ import annotations

import io
import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import fastavro

from tests.support.label_oracle import RawLabel, RawPrediction

_SCHEMAS = Path(__file__).parents[2] / "schemas"


@cache
def _schema(name: str) -> Any:
    return fastavro.parse_schema(json.loads((_SCHEMAS / f"{name}.avsc").read_text("utf-8")))


def prediction(one: RawPrediction) -> bytes:
    """Return the value of a prediction; its version is named after its digest."""
    return _written(
        "Prediction",
        {
            "id": one.id,
            "source_topic": "events",
            "source_partition": 0,
            "source_offset": 0,
            "event_time": one.event_ms,
            "scored_at": one.time_ms,
            "pipeline": "payments.fraud",
            "model_name": "picky",
            "model_version": version(one.digest),
            "model_digest": one.digest,
            "label": one.label,
            "score": one.score,
            "value": one.value,
        },
    )


def label(one: RawLabel) -> bytes:
    """Return the value of a label; without an id, one that says nothing."""
    fields = {"prediction_id": one.id, "labelled_at": one.known_ms, "label": one.label, "value": one.value}
    return _written("Label", fields)


def version(digest: str) -> str:
    return f"1.{digest[-4:]}"


def raw_prediction(value: bytes, time_ms: int) -> RawPrediction:
    """Return the prediction in a record of the raw topic."""
    read = _read("Prediction", value)
    return RawPrediction(
        read["id"],
        read["model_digest"],
        time_ms,
        _ms(read["event_time"]),
        read["label"],
        read["score"],
        read["value"],
    )


def raw_label(value: bytes | None, time_ms: int) -> RawLabel:
    """Return the label in a record of the raw topic; one that cannot be read, or says nothing, has no id."""
    try:
        read = _read("Label", value or b"")
    except (EOFError, IndexError, ValueError):
        return RawLabel(None, time_ms, 0)
    nothing = read["label"] is None and read["value"] is None
    identity = None if nothing else read["prediction_id"]
    return RawLabel(identity, time_ms, _ms(read["labelled_at"]), read["label"], read["value"])


def event(value: bytes) -> dict[str, Any]:
    """Return the monitoring event in a record."""
    read: dict[str, Any] = _read("MonitoringEvent", value)
    return read


def _written(name: str, record: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, _schema(name), record)
    return buffer.getvalue()


def _read(name: str, value: bytes) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(value), _schema(name), None)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
