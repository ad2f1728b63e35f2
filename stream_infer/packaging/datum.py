"""Encodes one event, a dict, as a producer would: fastavro, strict."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import fastavro

from stream_infer.avro.schemas import Schema


def encode_datum(schema: Schema, event: Mapping[str, Any]) -> bytes:
    """Return the datum of `event` without framing. Raises `ValueError` when it does not fit `schema`."""
    buffer = io.BytesIO()
    try:
        fastavro.schemaless_writer(buffer, dict(schema.parsed), event)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError(f"the event does not fit the schema {schema.name}: {error}") from error
    return buffer.getvalue()
