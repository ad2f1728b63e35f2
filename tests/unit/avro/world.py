"""Schemas and data that the tests of this folder share."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import Any

import fastavro

from stream_infer.avro.schemas import Schema, parse_schema


def record(*fields: tuple[str, Any] | dict[str, Any], name: str = "test.Event", **more: Any) -> Schema:
    """The schema of a record: a field is (name, type), or a dict when it has more to say."""
    listed = [field if isinstance(field, dict) else {"name": field[0], "type": field[1]} for field in fields]
    return parse_schema(json.dumps({"type": "record", "name": name, "fields": listed, **more}))


def nested(name: str, *fields: tuple[str, Any] | dict[str, Any], **more: Any) -> dict[str, Any]:
    """A record inside another."""
    listed = [field if isinstance(field, dict) else {"name": field[0], "type": field[1]} for field in fields]
    return {"type": "record", "name": name, "fields": listed, **more}


def write(schema: Schema, *values: Any) -> list[bytes]:
    """The data of `values`, as fastavro writes them."""
    return list(_written(schema, values))


def _written(schema: Schema, values: Iterable[Any]) -> Iterable[bytes]:
    for value in values:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema.parsed, value)
        yield out.getvalue()
