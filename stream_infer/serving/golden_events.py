"""Golden rows of a model as events in JSON, for people who want to see what one looks like."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from stream_infer.avro.schemas import Schema, decimal_of
from stream_infer.avro.types import Array, Map, Record, Scalar, Type, Union, is_null
from stream_infer.models.load import Model
from stream_infer.packaging.event_builder import event_of
from stream_infer.serving.instants import iso_text
from stream_infer.serving.tensors import DATATYPES


@dataclass(frozen=True, slots=True)
class GoldenEvent:
    """An event in JSON, and the place of its row in the golden columns of the model.

    `inputs` are the values of its features as a person would type them, by path; None is null.
    """

    row: int
    event: Mapping[str, Any]
    inputs: Mapping[str, str | None]


def golden_events(model: Model, schema: Schema, most: int) -> Sequence[GoldenEvent]:
    """Return the first `most` golden rows that JSON can write: it has no NaN.

    Fields that the model does not read have their default, null or zero.
    """
    columns = {source: column.to_pylist() for source, column in model.golden.items()}
    found: list[GoldenEvent] = []
    for row in range(min(map(len, columns.values()), default=0)):
        values = {source: column[row] for source, column in columns.items()}
        if len(found) < most and all(map(_is_writable, values.values())):
            event = _as_json(schema.root, event_of(schema, values))
            found.append(GoldenEvent(row, event, {path: _typed(_at(event, path)) for path in values}))
    return found


def golden_tensors(model: Model, most: int) -> dict[str, Any] | None:
    """Return a request of the Open Inference Protocol with the first `most` golden rows without null."""
    columns = {
        one.name: model.golden[one.source].to_pylist() for one in model.manifest.features if model.golden
    }
    rows = [
        row for row in zip(*columns.values(), strict=True) if None not in row and all(map(_is_writable, row))
    ]
    if not rows:
        return None
    return {
        "inputs": [
            {
                "name": one.name,
                "datatype": DATATYPES[one.type],
                "shape": [len(rows[:most])],
                "data": list(data),
            }
            for one, data in zip(model.manifest.features, zip(*rows[:most], strict=True), strict=True)
        ]
    }


def empty_event(schema: Schema) -> Mapping[str, Any]:
    """Return an event whose fields all have their default, null or zero."""
    event: Mapping[str, Any] = _as_json(schema.root, event_of(schema, {}))
    return event


def _is_writable(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _at(event: Any, path: str) -> object:  # noqa: ANN401 - any document
    for step in path.split("."):
        event = None if event is None else event[step]
    return event


def _typed(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _as_json(kind: Type, value: Any) -> Any:  # noqa: ANN401 - a value of any Avro type
    digits = decimal_of(kind)
    if value is None:
        return None
    if digits is not None:
        return _digits(value, digits.scale)
    match kind:
        case Scalar(logical=str(logical)):
            return iso_text(logical, value)
        case Record():
            return {field.name: _as_json(field.type, value[field.name]) for field in kind.fields}
        case Array():
            return [_as_json(kind.items, one) for one in value]
        case Map():
            return {key: _as_json(kind.values, one) for key, one in value.items()}
        case Union():
            return _as_json(next(branch for branch in kind.branches if not is_null(branch)), value)
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _digits(value: bytes | float | Decimal, scale: int) -> str:
    """Return a decimal as text with all the digits that its field has after the point."""
    if isinstance(value, bytes):
        value = Decimal(int.from_bytes(value, "big", signed=True)).scaleb(-scale)
    return f"{value:.{scale}f}"
