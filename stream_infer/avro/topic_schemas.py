"""The record types of our own topics, from the `schemas/` that users read too.

A wheel carries them inside the package, an editable install and a source tree beside it. This is the only
file access in `avro`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from stream_infer.avro.schemas import Schema, parse_schema

_PACKAGE = Path(__file__).resolve().parents[1]
_PLACES = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")

_APPENDED: Mapping[str, Sequence[str]] = {
    "Prediction": ("values",),
    "WorkerStatus": ("serves_since", "newest_generation"),
}
"""Fields that were appended to a record type after its first release, in order."""


@cache
def topic_schema(name: str) -> Schema:
    """Return the schema of our own record type `name`, like "Prediction"; raise `LookupError` if none."""
    for place in _PLACES:
        file = place / f"{name}.avsc"
        if file.is_file():
            return parse_schema(file.read_text(encoding="utf-8"))
    raise LookupError(f"There is no schema named {name} in {' or '.join(str(place) for place in _PLACES)}.")


@cache
def earlier_schemas(name: str) -> Sequence[Schema]:
    """Return the schemas that earlier releases wrote `name` with, newest first.

    A record without framing does not say which one it was written with.
    """
    document = json.loads(topic_schema(name).text)
    fields, count = document["fields"], len(_APPENDED.get(name, ()))
    return [parse_schema(json.dumps({**document, "fields": fields[:-n]})) for n in range(1, count + 1)]
