"""A validator for the subset of JSON Schema that the schema of worker.toml uses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
}
_KNOWN = {
    "$schema", "$comment", "title", "description", "default", "examples", "type", "properties",
    "additionalProperties", "items", "minItems", "enum", "pattern", "minLength", "minimum", "maximum",
    "exclusiveMinimum", "anyOf", "not",
}  # fmt: skip


def faults(schema: Mapping[str, Any], value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each part of `value` that violates `schema`."""
    assert set(schema) <= _KNOWN, set(schema) - _KNOWN
    if "not" in schema and not list(faults(schema["not"], value)):
        yield path
    if "anyOf" in schema and all(list(faults(one, value)) for one in schema["anyOf"]):
        yield path
    if "type" in schema and (not isinstance(value, _TYPES[schema["type"]]) or isinstance(value, bool)):
        yield path
        return
    if not _in_bounds(schema, value):
        yield path
    yield from _inside(schema, value, path)


def _inside(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    for name, inner in value.items() if isinstance(value, dict) else ():
        known = schema.get("properties", {}).get(name)
        if known is not None:
            yield from faults(known, inner, f"{path}.{name}")
        elif schema.get("additionalProperties", True) is False:
            yield f"{path}.{name}"
    for item in value if isinstance(value, list) else ():
        yield from faults(schema.get("items", {}), item, path)


def _in_bounds(schema: Mapping[str, Any], value: Any) -> bool:
    if isinstance(value, str):
        long_enough = len(value) >= schema.get("minLength", 0)
        return (
            long_enough
            and value in schema.get("enum", [value])
            and bool(re.search(schema.get("pattern", ""), value))
        )
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0)
    if isinstance(value, (int, float)):
        least, most = schema.get("minimum", value), schema.get("maximum", value)
        return bool(least <= value <= most and value > schema.get("exclusiveMinimum", value - 1))
    return True
