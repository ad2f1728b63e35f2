"""Events to data and answers to JSON: `POST /v1/predictions`.

A body is one event or a list of them, as JSON in the shape of the event schema, or Avro: data in the
single-object encoding, or an object container. A bad event never fails its neighbours.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import fastavro

from stream_infer.avro.framing import MAGIC, Framing, head
from stream_infer.avro.schemas import Schema
from stream_infer.models.load import Model
from stream_infer.packaging.encoded_events import EncodedEvents, encode_events
from stream_infer.serving.requests import BadRequest
from stream_infer.steps.scoring.answers import RowAnswer, answer_document

_CONTAINER = b"Obj\x01"


@dataclass(frozen=True, slots=True)
class RequestEvents:
    """The events of a body; `is_single` when it is one event and no list."""

    encoded: EncodedEvents
    is_single: bool


def events_in_body(body: bytes, schema: Schema) -> RequestEvents:
    """Return the events in `body`, whose first bytes tell JSON from Avro. Raises `BadRequest`."""
    if body.startswith(_CONTAINER):
        return RequestEvents(encode_events(schema, _from_container(body)), is_single=False)
    if body.startswith(MAGIC[Framing.SINGLE_OBJECT]):
        expected = head(Framing.SINGLE_OBJECT, schema)
        if not body.startswith(expected):
            raise BadRequest(f"the event was not written with {schema.name} of this package")
        return RequestEvents(EncodedEvents([body[len(expected) :]], [0], []), is_single=True)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is neither JSON nor Avro: {error}") from error
    is_list = isinstance(document, list)
    return RequestEvents(encode_events(schema, document if is_list else [document]), is_single=not is_list)


def _from_container(body: bytes) -> list[object]:
    try:
        return list(fastavro.reader(io.BytesIO(body)))
    except Exception as error:  # fastavro raises a dozen types for bytes that are no container
        raise BadRequest(f"the Avro container cannot be read: {type(error).__name__}") from error


def write_answers(answers: Sequence[RowAnswer], model: Model, *, is_single: bool) -> Mapping[str, object]:
    """Return the document of `answers`: the only one, or {"predictions": [...]}."""
    manifest = model.manifest
    by = {"model_name": manifest.name, "model_version": manifest.version, "model_digest": model.digest}
    rows = [answer_document(answer) | by for answer in answers]
    return rows[0] if is_single else {"predictions": rows}
