"""A checked schema, and the scalar leaves in it that can be features.

`parse_schema` is the only way to a `Schema`. What is refused, and why, is in `parsing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import fastavro

from stream_infer.avro.parsing import SchemaParser, SchemaRefused
from stream_infer.avro.types import (
    NO_DEFAULT,
    Absent,
    Decimal,
    Enum,
    Fixed,
    Record,
    Scalar,
    Type,
    Union,
    describe_type,
    is_null,
    is_nullable,
    without_null,
)

__all__ = [
    "NO_DEFAULT",
    "Leaf",
    "Schema",
    "SchemaRefused",
    "leaves",
    "other_fields",
    "parse_schema",
    "without_docs",
]

_WHOLE = frozenset({"int", "long"})
_NUMBERS = _WHOLE | {"float", "double"}
_FEATURE_KINDS = frozenset({"int", "long", "float", "double", "boolean", "string"})


@dataclass(frozen=True, slots=True)
class Schema:
    """A record schema that may meet bytes.

    `parsed` is fastavro's form, `root` ours; `fingerprint` is the CRC-64-AVRO of the parsing canonical form
    as the 8 little-endian bytes that the single-object encoding carries.
    """

    text: str
    parsed: dict[str, Any] = field(repr=False, compare=False)
    root: Record = field(repr=False, compare=False)
    name: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar that can be a feature; `nullable` also when a record around it may be null.

    `kind` is int, long, float, double, boolean, string or enum. `default` is the field's own. A `decimal` is
    a double, and so is a union of numbers, if not all of them are whole.
    """

    path: str
    kind: str
    nullable: bool
    logical: str | None
    default: object | Absent
    decimal: Decimal | None = None


def parse_schema(text: str) -> Schema:
    """Return the schema in `text`; raise `SchemaRefused` with one sentence when it cannot be used."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaRefused(f"The schema is not JSON: {error}.") from error
    try:
        root = SchemaParser().type(raw, "", 0)
    except RecursionError as error:
        raise SchemaRefused("The schema is nested too deep.") from error
    if not isinstance(root, Record):
        raise SchemaRefused(f"The schema is {describe_type(root)}; an event has to be a record.")
    try:
        parsed: dict[str, Any] = fastavro.parse_schema(raw)  # type: ignore[assignment]  # a record is a dict
        canonical = fastavro.schema.to_parsing_canonical_form(parsed)
        fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    except (
        Exception
    ) as error:  # our own rules come first; whatever fastavro finds beyond them is a refusal too
        raise SchemaRefused(f"The schema is not valid Avro: {error}.") from error
    return Schema(text, parsed, root, root.name, fingerprint)


def without_docs(schema: Schema) -> Schema:
    """Return `schema` without its documentation: other text, the same bytes."""
    return parse_schema(json.dumps(_without_docs(json.loads(schema.text))))


def leaves(schema: Schema) -> Mapping[str, Leaf]:
    """Return every scalar that is reachable through records and nullable records, by dotted path."""
    return {leaf.path: leaf for leaf in _walk(schema.root) if isinstance(leaf, Leaf)}


def other_fields(schema: Schema) -> Mapping[str, str]:
    """Return the fields that cannot be features, by dotted path, each with what it is ("an array")."""
    return dict(other for other in _walk(schema.root) if not isinstance(other, Leaf))


def _without_docs(node: object) -> object:
    if isinstance(node, list):
        return [_without_docs(item) for item in node]
    if isinstance(node, dict):
        return {k: v if k == "default" else _without_docs(v) for k, v in node.items() if k != "doc"}
    return node


def _walk(record: Record, prefix: str = "", *, nullable: bool = False) -> Iterator[Leaf | tuple[str, str]]:
    for item in record.fields:
        path = prefix + item.name
        kind, may_be_null = without_null(item.type)
        may_be_null = may_be_null or nullable or is_nullable(kind)
        if isinstance(kind, Record):
            yield from _walk(kind, f"{path}.", nullable=may_be_null)
        elif feature := feature_kind(kind):
            logical = kind.logical if isinstance(kind, Scalar | Fixed) else None
            yield Leaf(path, feature, may_be_null, logical, item.default, decimal_of(kind))
        else:
            yield path, describe_type(kind)


def decimal_of(kind: Type) -> Decimal | None:
    """Return the digits of `kind` where it is a decimal number."""
    return kind.decimal if isinstance(kind, Scalar | Fixed) else None


def feature_kind(kind: Type) -> str | None:
    """Return what a feature of type `kind` is called, or None when it cannot be one."""
    if isinstance(kind, Enum):
        return "enum"
    if decimal_of(kind) is not None:
        return "double"
    if isinstance(kind, Union):
        numbers = {one.kind for one in kind.branches if isinstance(one, Scalar) and not is_null(one)}
        plain = all(isinstance(one, Scalar) and one.logical is None for one in kind.branches)
        if plain and numbers and numbers <= _NUMBERS:
            return "long" if numbers <= _WHOLE else "double"
        return None
    return kind.kind if isinstance(kind, Scalar) and kind.kind in _FEATURE_KINDS else None
