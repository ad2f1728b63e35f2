"""Events in the body of a request: `POST /v1/predictions`.

A body is one event or a list of them, as JSON in the shape of the event schema, as Avro (one datum in the
single-object encoding, or an object container), or as an Arrow IPC stream. A bad event never fails its
neighbours.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import fastavro

from stream_infer.avro.framing import MAGIC, Framing, head
from stream_infer.avro.schemas import Schema
from stream_infer.flow.records import Rejected
from stream_infer.models.manifest import Manifest
from stream_infer.packaging.encoded_events import EncodedEvents, encode_events
from stream_infer.serving.arrow_events import CONTINUATION, events_in_stream
from stream_infer.serving.requests import BadRequest, require_rows
from stream_infer.steps.scoring.answers import RowAnswer, ScoringRequest

_CONTAINER = b"Obj\x01"


@dataclass(frozen=True, slots=True)
class RequestEvents:
    """The events of a body as rows to score; `is_single` when it is one event and no list.

    `places[i]` is the event of row i, and the others are `rejected`.
    """

    rows: ScoringRequest
    places: Sequence[int]
    rejected: Sequence[Rejected]
    is_single: bool

    def in_order(self, answers: Sequence[RowAnswer]) -> list[RowAnswer]:
        """Return the answer to each event, given those to the rows."""
        if not self.rejected:
            return list(answers)
        return EncodedEvents((), self.places, self.rejected).in_order(answers)


def events_in_body(body: bytes, schema: Schema, manifest: Manifest, most: int) -> RequestEvents:
    """Return the at most `most` events in `body`, whose first bytes tell its form. Raises `BadRequest`."""
    if body.startswith(CONTINUATION):
        found = events_in_stream(body, schema, manifest, most)
        if found.columns is not None:
            return RequestEvents(found.columns, (), (), is_single=False)
        return _encoded(schema, found.rows, is_single=False)
    if body.startswith(_CONTAINER):
        return _encoded(schema, _from_container(body, schema, most), is_single=False)
    if body.startswith(MAGIC[Framing.SINGLE_OBJECT]):
        expected = head(Framing.SINGLE_OBJECT, schema)
        if not body.startswith(expected):
            raise BadRequest(f"the event was not written with {schema.name} of this package")
        return RequestEvents([body[len(expected) :]], [0], [], is_single=True)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is neither JSON nor Avro nor Arrow: {error}") from error
    if not isinstance(document, list):
        return _encoded(schema, [document], is_single=True)
    require_rows(len(document), most)
    return _encoded(schema, document, is_single=False)


def _encoded(schema: Schema, events: Sequence[object], *, is_single: bool) -> RequestEvents:
    encoded = encode_events(schema, events)
    return RequestEvents(encoded.data, encoded.places, encoded.rejected, is_single)


def _from_container(body: bytes, schema: Schema, most: int) -> list[object]:
    """Return the events of an object container. Nothing is read with a schema of someone else's making."""
    try:
        reader = fastavro.reader(io.BytesIO(body))
        written = fastavro.schema.to_parsing_canonical_form(reader.writer_schema)
        codec = reader.codec
    except Exception as error:  # fastavro raises a dozen types for bytes that are no container
        raise BadRequest(f"the Avro container cannot be read: {type(error).__name__}") from error
    if written != fastavro.schema.to_parsing_canonical_form(schema.parsed):
        raise BadRequest(f"the container was not written with {schema.name} of this package")
    if codec != "null":  # a few bytes could become any number
        raise BadRequest(f"the container is compressed ({codec}); write it with the codec null")
    try:
        events: list[object] = list(islice(reader, most + 1))
    except Exception as error:
        raise BadRequest(f"the Avro container cannot be read: {type(error).__name__}") from error
    require_rows(len(events), most)
    return events
