"""One event, a dict in the shape of a schema, to the bytes that a producer would send: fastavro, strictly."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import fastavro

from stream_infer.avro.schemas import Schema


def encode_datum(schema: Schema, event: Mapping[str, Any]) -> bytes:
    """Return the bare datum of `event`; raise ValueError with a sentence when it does not fit `schema`."""
    buffer = io.BytesIO()
    try:
        fastavro.schemaless_writer(buffer, dict(schema.parsed), event)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"the event does not fit the schema {schema.name}: {error}") from error
    return buffer.getvalue()
