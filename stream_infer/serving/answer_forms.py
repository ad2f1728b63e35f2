"""Answers in the form that the caller asks for: JSON, an Avro object container, or an Arrow IPC stream."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

import fastavro
import pyarrow as pa
from starlette.responses import Response

from stream_infer.models.load import Model
from stream_infer.serving.arrow_events import ARROW_STREAM
from stream_infer.serving.documents import json_answer
from stream_infer.serving.requests import BadRequest
from stream_infer.steps.scoring.answers import RowAnswer, answer_document

JSON = "application/json"
AVRO_CONTAINER = "application/avro"
Rows: TypeAlias = Sequence[Mapping[str, Any]]

_TEXT, _NUMBER = ["null", "string"], ["null", "double"]
_NUMBERS = ["null", {"type": "map", "values": "double"}]
_ERROR = {
    "type": "record",
    "name": "RowError",
    "fields": [{"name": name, "type": "string"} for name in ("stage", "class", "message")],
}
ANSWER_SCHEMA = {
    "type": "record",
    "name": "Answer",
    "namespace": "io.streaminfer.serving.v1",
    "doc": "The answer to one event: what the model says, or the error that a dead letter would have.",
    "fields": [
        {"name": "label", "type": _TEXT, "default": None},
        {"name": "score", "type": _NUMBER, "default": None},
        {"name": "value", "type": _NUMBER, "default": None},
        {"name": "class_scores", "type": _NUMBERS, "default": None},
        {"name": "values", "type": _NUMBERS, "default": None},
        {"name": "error", "type": ["null", _ERROR], "default": None},
        *({"name": name, "type": "string"} for name in ("model_name", "model_version", "model_digest")),
    ],
}
_AVRO = fastavro.parse_schema(ANSWER_SCHEMA)
_NAMED_NUMBERS = pa.map_(pa.string(), pa.float64())
_ARROW = pa.schema(
    [
        ("label", pa.string()),
        ("score", pa.float64()),
        ("value", pa.float64()),
        ("class_scores", _NAMED_NUMBERS),
        ("values", _NAMED_NUMBERS),
        ("error", pa.struct([(name, pa.string()) for name in ("stage", "class", "message")])),
        *((name, pa.string()) for name in ("model_name", "model_version", "model_digest")),
    ]
)


def answer_form(accept: str) -> str:
    """Return the form that the header `accept` prefers, JSON where it takes all. Raises `BadRequest`."""
    best, found = 0.0, None
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        form, *parameters = (one.strip().lower() for one in part.split(";"))
        form = JSON if form in ("*/*", "application/*") else form
        quality = _quality(parameters)
        if form in _WRITE and quality > best:
            best, found = quality, form
    if found is None:
        raise BadRequest(f"the answer has one of the forms {', '.join(_WRITE)}", HTTPStatus.NOT_ACCEPTABLE)
    return found


def write_answers(answers: Sequence[RowAnswer], model: Model, form: str, *, is_single: bool) -> Response:
    """Return the answer to a request: a document for one event, else a row for each in its order.

    A single event that is refused has the status 422.
    """
    manifest = model.manifest
    by = {"model_name": manifest.name, "model_version": manifest.version, "model_digest": model.digest}
    rows = [answer_document(answer) | by for answer in answers]
    refused = is_single and "error" in rows[0]
    status = HTTPStatus.UNPROCESSABLE_ENTITY if refused else HTTPStatus.OK
    return _WRITE[form](rows, status, is_single)


def _json(rows: Rows, status: HTTPStatus, is_single: bool) -> Response:  # noqa: FBT001 - of a table
    return json_answer(rows[0] if is_single else {"predictions": rows}, status)


def _avro(rows: Rows, status: HTTPStatus, _: bool) -> Response:  # noqa: FBT001 - of a table
    file = io.BytesIO()
    fastavro.writer(file, _AVRO, rows, codec="null")
    return Response(file.getvalue(), status, media_type=AVRO_CONTAINER)


def _arrow(rows: Rows, status: HTTPStatus, _: bool) -> Response:  # noqa: FBT001 - of a table
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _ARROW) as writer:
        writer.write_table(pa.Table.from_pylist([_mapped(row) for row in rows], _ARROW))
    return Response(sink.getvalue().to_pybytes(), status, media_type=ARROW_STREAM)


def _mapped(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `row` with its named numbers as pairs, as Arrow takes the entries of a map."""
    return {
        name: list(one.items()) if name in ("class_scores", "values") and one else one
        for name, one in row.items()
    }


def _quality(parameters: Sequence[str]) -> float:
    given = next((one[2:] for one in parameters if one.startswith("q=")), "1")
    try:
        return float(given)
    except ValueError:
        return 0.0


_WRITE: Mapping[str, Callable[[Rows, HTTPStatus, bool], Response]] = {
    JSON: _json,
    AVRO_CONTAINER: _avro,
    ARROW_STREAM: _arrow,
}
