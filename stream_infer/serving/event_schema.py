"""The JSON schema of an event: its Avro schema, with what the manifest knows of each feature.

The observed range of a feature is told and not enforced, as in a worker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stream_infer.avro.schemas import NO_DEFAULT, Schema
from stream_infer.avro.types import Array, Enum, Field, Fixed, Map, Record, Scalar, Type, Union, is_nullable
from stream_infer.models.manifest import Feature, Manifest

Json = dict[str, Any]

_INT = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_LONG = {"type": "integer", "format": "int64", "minimum": -(2**63), "maximum": 2**63 - 1}
_BYTES = {"type": "string", "pattern": r"^[\u0000-\u00ff]*$"}
_PLAIN: Mapping[str, Json] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "int": _INT,
    "long": _LONG,
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "string": {"type": "string"},
    "bytes": _BYTES,
}
_TEXT_OF: Mapping[str, str] = {"date": "date", "time": "time", "timestamp": "date-time"}
UNITS: Mapping[str, str] = {
    "date": "days since 1970-01-01",
    "time-millis": "milliseconds since midnight",
    "time-micros": "microseconds since midnight",
    **{
        f"{local}timestamp-{short}": f"{unit}seconds since 1970-01-01"
        for local in ("", "local-")
        for short, unit in (("millis", "milli"), ("micros", "micro"), ("nanos", "nano"))
    },
}
"""Logical type -> the unit of its whole numbers."""


def event_json_schema(schema: Schema, manifest: Manifest, example: Mapping[str, Any] | None) -> Json:
    """Return the schema of one event as JSON Schema 2020-12; `example` is one event of it."""
    features = {feature.source: feature for feature in manifest.features}
    docs = dict(_docs(json.loads(schema.text), "", {}))
    return {**_record(schema.root, "", features, docs, example or {}), "title": schema.name}


def _record(
    record: Record, prefix: str, features: Mapping[str, Feature], docs: Mapping[str, str], example: object
) -> Json:
    properties = {}
    for field in record.fields:
        path = prefix + field.name
        value = example.get(field.name) if isinstance(example, Mapping) else None
        properties[field.name] = {
            **_type(field.type, path, features, docs, value),
            **_about(path, features, docs, value),
        }
    return {
        "type": "object",
        "properties": properties,
        "required": [field.name for field in record.fields if _is_required(field)],
        "additionalProperties": False,
    }


def _is_required(field: Field) -> bool:
    return field.default is NO_DEFAULT and not is_nullable(field.type)


def _about(path: str, features: Mapping[str, Feature], docs: Mapping[str, str], value: object) -> Json:
    """Return what is known of a field beside its type."""
    feature = features.get(path)
    says = [docs[path]] if path in docs else []
    about: Json = {}
    if feature is not None:
        unit = UNITS.get(feature.logical or "")
        says.append(f"Feature '{feature.name}' of the model.")
        if feature.minimum is not None and feature.maximum is not None:
            says.append(f"In training from {feature.minimum:g} to {feature.maximum:g}.")
            about |= {"x-observed-minimum": feature.minimum, "x-observed-maximum": feature.maximum}
        if unit is not None:
            about["x-unit"] = unit
        if not isinstance(value, Mapping):
            about["examples"] = [value]
    return about | ({"description": " ".join(says)} if says else {})


def _type(
    kind: Type, path: str, features: Mapping[str, Feature], docs: Mapping[str, str], value: object
) -> Json:
    match kind:
        case Record():
            return _record(kind, f"{path}.", features, docs, value)
        case Union():
            return {"anyOf": [_type(branch, path, features, docs, value) for branch in kind.branches]}
        case Array():
            return {"type": "array", "items": _type(kind.items, f"{path}[]", features, docs, None)}
        case Map():
            values = _type(kind.values, f"{path}{{}}", features, docs, None)
            return {"type": "object", "additionalProperties": values}
        case Enum():
            return {"type": "string", "enum": list(kind.symbols)}
        case Fixed():
            return _logical(kind) or {**_BYTES, "minLength": kind.size, "maxLength": kind.size}
        case Scalar():
            return _logical(kind) or dict(_PLAIN[kind.kind])


def _logical(kind: Scalar | Fixed) -> Json | None:
    """Return the schema of a value with a logical type that JSON has as text; None for others."""
    if kind.decimal is not None:
        whole = kind.decimal.precision - kind.decimal.scale
        after = rf"(\.[0-9]{{1,{kind.decimal.scale}}})?" if kind.decimal.scale else ""
        return {"type": "string", "pattern": rf"^-?[0-9]{{1,{max(1, whole)}}}{after}$"}
    logical = kind.logical or ""
    if logical not in UNITS or not isinstance(kind, Scalar):
        return None
    number = {**_PLAIN[kind.kind], "description": UNITS[logical]}
    if logical.startswith("local-"):
        return {"anyOf": [{"type": "string", "description": "ISO 8601 without a time zone"}, number]}
    return {"anyOf": [{"type": "string", "format": _TEXT_OF[logical.partition("-")[0]]}, number]}


def _docs(node: object, path: str, named: dict[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the documentation of each field below the type `node`, by dotted path."""
    if isinstance(node, list):
        for branch in node:
            yield from _docs(branch, path, named)
        return
    if isinstance(node, str):
        node = named.get(node)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("type"), dict | list):
        yield from _docs(node["type"], path, named)
    if "name" in node:
        named[node["name"]] = node
    for field in node.get("fields", ()):
        inner = f"{path}.{field['name']}" if path else field["name"]
        if isinstance(field.get("doc"), str):
            yield inner, field["doc"]
        yield from _docs(field["type"], inner, named)
