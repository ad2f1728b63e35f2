"""A schema rewritten for pyruhvro: the same bytes, in types that it reads without a panic or a wrong value.

pyruhvro 0.4 panics on `bytes`, `fixed` and some logical types, cuts an int beyond 32 bits, and builds no
struct without fields. The same bytes are described in other types:

- logical types, names, aliases and docs are left out; record names are new, a field is named `f` and its
index;
- int is long, so that a value beyond 32 bits can be found in the column;
- bytes is a record around a string named `raw`, which `untext` turns into binary before UTF-8 is checked;
- fixed is a record of doubles and floats, when its size allows;
- fields without bytes are left out; `[null, nothing]` is an enum of two symbols;
- each branch of a general union is a record of its own, so that two branches never look alike.

A type that cannot be described this way gives None, and `strict` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count

import pyarrow as pa

from stream_infer.avro.decoded_size import expansion
from stream_infer.avro.types import (
    Array,
    Enum,
    Fixed,
    Map,
    Record,
    Scalar,
    Type,
    Union,
    is_null,
    is_zero_width,
    without_null,
)

MAX_BRANCHES = 100  # Arrow has 127 type ids
MAX_FIXED = 256
# A byte of an item may take this many bytes in columns. An array of nullable records with 1000 fields would
# turn a message of 1 MB into 9 GB; read row by row its items are dropped one by one.
MAX_EXPANSION = 600

RAW = "raw"

Shape = str | dict[str, object] | list[object]
_Fresh = Callable[[], str]


class _Unsupported(Exception):
    """pyruhvro has no equivalent of the type."""


def rewrite(record: Record, *, guard: str | None = None) -> str | None:
    """Return a schema for `record`'s bytes, with a double named `guard` after them if given, or None."""
    names = (f"n{number}" for number in count())
    try:
        fields = _fields(record, names.__next__)
    except _Unsupported:
        return None
    if guard is not None:
        fields.append({"name": guard, "type": "double"})
    return json.dumps({"type": "record", "name": "row", "fields": fields})


def name(index: int) -> str:
    """Return the name that field `index` of a record has in the rewritten schema."""
    return f"f{index}"


def untext(kind: pa.DataType) -> pa.DataType:
    """Return `kind` with binary in place of every string that stands for Avro bytes."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_untext_field(field)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(untext(kind.value_type)))
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field, kind.item_field.with_type(untext(kind.item_type)))
    if pa.types.is_union(kind):
        return pa.sparse_union([field.with_type(untext(field.type)) for field in kind], list(kind.type_codes))
    return kind


def has_union(kind: pa.DataType) -> bool:
    """Return whether there is a union in `kind`, at any depth."""
    inner = (kind.field(index).type for index in range(kind.num_fields))
    return pa.types.is_union(kind) or any(map(has_union, inner))


def _untext_field(field: pa.Field) -> pa.DataType:
    return pa.binary() if field.name == RAW else untext(field.type)


def _fields(record: Record, fresh: _Fresh) -> list[object]:
    return [
        {"name": name(index), "type": _shape(field.type, fresh)}
        for index, field in enumerate(record.fields)
        if not is_zero_width(field.type)
    ]


def _shape(kind: Type, fresh: _Fresh) -> Shape:
    match kind:
        case Scalar("int"):
            return "long"
        case Scalar("bytes"):
            return _record(fresh, [{"name": RAW, "type": "string"}])
        case Scalar():
            return kind.kind
        case Enum():
            return {"type": "enum", "name": fresh(), "symbols": list(kind.symbols)}
        case Fixed():
            return _record(fresh, _words(kind))
        case Record():
            return _record(fresh, _fields(kind, fresh))
        case Array():
            return {"type": "array", "items": _item(kind, kind.items, fresh)}
        case Map():
            return {"type": "map", "values": _item(kind, kind.values, fresh)}
        case Union():
            return _union(kind, fresh)


def _record(fresh: _Fresh, fields: list[object]) -> Shape:
    return {"type": "record", "name": fresh(), "fields": fields}


def _words(kind: Fixed) -> list[object]:
    if kind.size % 4 or kind.size > MAX_FIXED:
        raise _Unsupported
    words = ["double"] * (kind.size // 8) + ["float"] * (kind.size % 8 // 4)
    return [{"name": name(index), "type": word} for index, word in enumerate(words)]


def _item(collection: Array | Map, kind: Type, fresh: _Fresh) -> Shape:
    if expansion(collection) > MAX_EXPANSION:
        raise _Unsupported
    return _shape(kind, fresh)


def _union(kind: Union, fresh: _Fresh) -> Shape:
    inner, nullable = without_null(kind)
    if nullable and is_zero_width(inner):
        return {"type": "enum", "name": fresh(), "symbols": ["first", "second"]}
    if nullable:
        return ["null" if is_null(branch) else _shape(branch, fresh) for branch in kind.branches]
    if len(kind.branches) > MAX_BRANCHES:
        raise _Unsupported
    return [_branch(branch, fresh) for branch in kind.branches]


def _branch(kind: Type, fresh: _Fresh) -> Shape:
    if is_null(kind):
        return "null"
    inner: Shape = "null" if is_zero_width(kind) else _shape(kind, fresh)
    return _record(fresh, [{"name": name(0), "type": inner}])
