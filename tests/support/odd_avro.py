"""A schema of every Avro type, values of each that are odd, and bytes that are no value of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stream_infer.avro.schemas import Schema, parse_schema
from stream_infer.avro.types import Array, Enum, Fixed, Map, Record, Scalar, Type, Union

MEGABYTE = 2**20
TIMES = {
    "date": "int",
    "time-millis": "int",
    "time-micros": "long",
    "timestamp-millis": "long",
    "timestamp-micros": "long",
    "timestamp-nanos": "long",
    "local-timestamp-millis": "long",
    "local-timestamp-micros": "long",
    "local-timestamp-nanos": "long",
}


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes in the place of a value."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Chosen:
    """A value of one branch of a union."""

    branch: int
    value: Any


def _field(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind}


def _logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


def _fields(inner: str) -> list[dict[str, Any]]:
    """Return a field of each type; named types are in the namespace `inner`."""

    def named(kind: str, name: str, **more: Any) -> dict[str, Any]:
        return {"type": kind, "name": f"{inner}.{name}", **more}

    return [
        *(_field(kind, kind) for kind in ("boolean", "int", "long", "float", "double", "string", "bytes")),
        *(_field(name.replace("-", "_"), _logical(kind, name)) for name, kind in TIMES.items()),
        _field("uuid", _logical("string", "uuid")),
        _field("decimal", _logical("bytes", "decimal", precision=20, scale=4)),
        _field(
            "fixed_decimal", {**named("fixed", "Money", size=8), **_logical("fixed", "decimal", precision=18)}
        ),
        _field("fixed", named("fixed", "Hash", size=16)),
        _field("enum", named("enum", "Colour", symbols=["RED", "GREEN"])),
        _field("choice", ["null", "string", "long"]),
        *(_field(f"maybe_{kind}", ["null", kind]) for kind in ("boolean", "long", "double", "string")),
        _field("maybe_time", [_logical("long", "timestamp-millis"), "null"]),
        _field("numbers", {"type": "array", "items": "double"}),
        _field("table", {"type": "array", "items": {"type": "array", "items": ["null", "string"]}}),
        _field("counts", {"type": "map", "values": ["null", "long"]}),
    ]


def every_type() -> Schema:
    """Return a record of every type, also within a record, a nullable one, and a list of them."""
    inner = {"type": "record", "name": "odd.Inner", "fields": _fields("odd.inner")}
    maybe = {"type": "record", "name": "odd.Maybe", "fields": _fields("odd.maybe")}
    items = {"type": "record", "name": "odd.Item", "fields": [_field("id", "string"), _field("tags", _map())]}
    fields = [
        *_fields("odd.outer"),
        _field("inner", inner),
        _field("maybe", ["null", maybe]),
        _field("items", {"type": "array", "items": items}),
    ]
    return parse_schema(json.dumps({"type": "record", "name": "odd.Event", "fields": fields}))


def _map() -> dict[str, Any]:
    return {"type": "map", "values": "bytes"}


def datum(kind: Type, value: Any) -> bytes:
    """Return `value` as bytes; a `Raw` in it stands for itself."""
    match value, kind:
        case Raw(), _:
            return value.data
        case _, Scalar():
            return _scalar(kind.kind, value)
        case _, Enum():
            return _long(kind.symbols.index(value))
        case _, Fixed():
            return bytes(value)
        case _, Array():
            return _blocks([datum(kind.items, item) for item in value])
        case _, Map():
            pairs = [_scalar("string", key) + datum(kind.values, item) for key, item in value]
            return _blocks(pairs)
        case _, Union():
            return _long(value.branch) + datum(kind.branches[value.branch], value.value)
        case _, Record():
            return b"".join(datum(field.type, value[field.name]) for field in kind.fields)
    raise TypeError(kind)


def plain(kind: Type) -> Any:
    """Return an ordinary value of `kind`."""
    match kind:
        case Scalar():
            number = 0 if kind.logical in TIMES else 1
            return {"string": "plain", "bytes": b"plain", "boolean": True, "null": None}.get(
                kind.kind, number
            )
        case Enum():
            return kind.symbols[0]
        case Fixed():
            return bytes(kind.size)
        case Array():
            return [plain(kind.items)]
        case Map():
            return [("plain", plain(kind.values))]
        case Union():
            return Chosen(len(kind.branches) - 1, plain(kind.branches[-1]))
        case Record():
            return {field.name: plain(field.type) for field in kind.fields}
    raise TypeError(kind)


def odd(kind: Type) -> Iterator[Any]:
    """Yield values of `kind` with one odd, but valid, value each."""
    yield from _variants(kind, _odd_here)


def broken(kind: Type) -> Iterator[Any]:
    """Yield values of `kind` in which one place has bytes that no value has there."""
    yield from _variants(kind, _broken_here)


def _variants(kind: Type, here: Callable[[Type], Sequence[Any]]) -> Iterator[Any]:
    yield from here(kind)
    match kind:
        case Record():
            usual = plain(kind)
            for field in kind.fields:
                yield from ({**usual, field.name: one} for one in _variants(field.type, here))
        case Array():
            yield from ([one] for one in _variants(kind.items, here))
        case Map():
            yield from ([("key", one)] for one in _variants(kind.values, here))
        case Union():
            for number, branch in enumerate(kind.branches):
                yield from (Chosen(number, one) for one in _variants(branch, here))


def _odd_here(kind: Type) -> Sequence[Any]:
    match kind:
        case Scalar():
            return _ODD[kind.kind]
        case Enum():
            return kind.symbols
        case Fixed():
            return [b"\xff" * kind.size]
        case Array():
            return [[], [plain(kind.items)] * 1_000]
        case Map():
            one = plain(kind.values)
            return [[], [(key, one) for key in ("", "\x00", "k", "k")], [("k" * MEGABYTE, one)]]
        case Union():
            return [Chosen(number, plain(branch)) for number, branch in enumerate(kind.branches)]
        case _:
            return []


def _broken_here(kind: Type) -> Sequence[Raw]:
    endless = Raw(b"\xff" * 11)
    match kind:
        case Scalar(kind="boolean"):
            return [Raw(b"\x02"), Raw(b"\xff")]
        case Scalar(kind="int" | "long"):
            return [endless]
        case Scalar(kind="string"):
            return [*_LENGTHS, Raw(b"\x04\xff\xfe"), Raw(b"\x06\xed\xa0\x80"), Raw(b"\x02\xc3")]
        case Scalar(kind="bytes"):
            return _LENGTHS
        case Enum():
            return [endless, Raw(_long(-1)), Raw(_long(len(kind.symbols))), Raw(_long(2**62))]
        case Union():
            return [endless, Raw(_long(-1)), Raw(_long(len(kind.branches))), Raw(_long(2**62))]
        case Array() | Map():
            return [endless, Raw(_long(2**62)), Raw(_long(-(2**62)) + _long(1))]
        case _:
            return []


def _scalar(kind: str, value: Any) -> bytes:
    match kind:
        case "null":
            return b""
        case "boolean":
            return bytes([value])
        case "int" | "long":
            return _long(value)
        case "float":
            return struct.pack("<f", value)
        case "double":
            return struct.pack("<d", value)
        case _:
            data = value.encode() if isinstance(value, str) else value
            return _long(len(data)) + bytes(data)


def _long(value: int) -> bytes:
    rest = (value << 1) ^ (value >> 63)
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*found, rest])


def _blocks(items: Sequence[bytes]) -> bytes:
    return (_long(len(items)) + b"".join(items) if items else b"") + b"\x00"


_LENGTHS = [Raw(b"\xff" * 11), Raw(_long(-1)), Raw(_long(2**62)), Raw(_long(-(2**63)))]
_ODD: dict[str, Sequence[Any]] = {
    "null": [],
    "boolean": [False],
    "int": [0, -1, -(2**31), 2**31 - 1],
    "long": [0, -1, -(2**63), 2**63 - 1, 2**53 + 1, 253_402_300_800_000],
    "float": [-0.0, 1e-45, 3.4e38, float("nan"), float("inf"), float("-inf")],
    "double": [-0.0, 5e-324, 1.7e308, -1.7e308, float("nan"), float("inf"), float("-inf")],
    "string": ["", "\x00", "\U0001f600", "﻿", "not-a-uuid", "x" * MEGABYTE],
    "bytes": [b"", b"\x00", b"\x80" * 40, b"\xff" * MEGABYTE],
}
