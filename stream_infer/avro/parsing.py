"""From the JSON of a schema to a tree of types; schemas that are unsafe for a decoder are refused.

A schema decides how much work a few bytes can cause, hence the limits: a recursive record ends the process
(fastavro overflows its stack on 5 kB), an array of items without bytes loops as often as its count says, and
a record that doubles itself through names grows to 2^depth columns. `schemas.parse_schema` is the entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_infer.avro import defaults
from stream_infer.avro.types import (
    NO_DEFAULT,
    Array,
    Decimal,
    Enum,
    Field,
    Fixed,
    Map,
    Record,
    Scalar,
    Type,
    Union,
    describe_type,
    is_zero_width,
)

MAX_DEPTH = 32
MAX_FIELDS = 2000
_MAX_FIXED_BYTES = 2**31 - 1

_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "string", "bytes"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class SchemaRefused(ValueError):
    """A schema that is not Avro, or not accepted for events; the message is one sentence."""


@dataclass(slots=True)
class SchemaParser:
    """The named types of one schema so far; None stands for a type that is still being read.

    `size` has depth and number of fields of every type, with names expanded, by the identity of the type.
    """

    named: dict[str, Type | None] = field(default_factory=dict)
    size: dict[int, tuple[int, int]] = field(default_factory=dict)

    def type(self, json: object, namespace: str, depth: int) -> Type:
        """Return the type that `json` describes inside `namespace`, `depth` levels deep."""
        if depth > MAX_DEPTH:
            raise SchemaRefused(f"The schema is nested more than {MAX_DEPTH} deep.")
        kind = self._read(json, namespace, depth)
        self._measure(kind)
        return kind

    def _read(self, json: object, namespace: str, depth: int) -> Type:
        if isinstance(json, str):
            return Scalar(json) if json in _PRIMITIVES else self._reference(json, namespace)
        if isinstance(json, list):
            return self._union(json, namespace, depth)
        if not isinstance(json, dict):
            raise SchemaRefused("A type in the schema is neither a name, nor an object, nor a list.")
        name = json.get("type")
        if not isinstance(name, str):
            return self.type(name, namespace, depth + 1)
        if name in _PRIMITIVES:
            return Scalar(name, _text(json.get("logicalType")), _decimal(json) if name == "bytes" else None)
        return self._complex(name, json, namespace, depth)

    def _complex(self, name: str, json: Mapping[str, object], namespace: str, depth: int) -> Type:
        match name:
            case "record":
                return self._record(json, namespace, depth)
            case "enum":
                return self._enum(json, namespace)
            case "fixed":
                return self._fixed(json, namespace)
            case "array":
                return Array(self._item(json.get("items"), "An array's items", namespace, depth))
            case "map":
                return Map(self._item(json.get("values"), "A map's values", namespace, depth))
            case _:
                return self._reference(name, namespace)

    def _reference(self, name: str, namespace: str) -> Type:
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full not in self.named:
            raise SchemaRefused(f"The schema uses the type {name}, which it does not define before.")
        kind = self.named[full]
        if kind is None:
            raise SchemaRefused(f"The record {full} contains itself; recursive schemas are not accepted.")
        return kind

    def _define(self, json: Mapping[str, object], namespace: str) -> tuple[str, str]:
        name = json.get("name")
        if not isinstance(name, str) or not _FULL_NAME.fullmatch(name):
            raise SchemaRefused(f"A named type in the schema has no valid name: {name!r}.")
        full = name
        if "." not in name:
            own = json.get("namespace", namespace)
            full = f"{own}.{name}" if own else name
        if full in self.named:
            raise SchemaRefused(f"The schema defines {full} twice.")
        self.named[full] = None
        return full, full.rpartition(".")[0]

    def _record(self, json: Mapping[str, object], namespace: str, depth: int) -> Record:
        name, inside = self._define(json, namespace)
        listed = json.get("fields")
        if not isinstance(listed, list):
            raise SchemaRefused(f"The record {name} has no list of fields.")
        _check_count(len(listed))
        fields = tuple(self._field(item, name, inside, depth) for item in listed)
        names = [item.name for item in fields]
        for twice in (
            {item for item in names if names.count(item) > 1} if len(set(names)) < len(names) else ()
        ):
            raise SchemaRefused(f"The record {name} has two fields named {twice}.")
        record = Record(name, fields, _aliases(json, inside))
        self.named[name] = record
        return record

    def _field(self, json: object, record: str, namespace: str, depth: int) -> Field:
        if not isinstance(json, dict) or "type" not in json:
            raise SchemaRefused(f"A field of {record} is not an object with a name and a type.")
        name = json.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise SchemaRefused(f"A field of {record} has no valid name: {name!r}.")
        kind = self.type(json["type"], namespace, depth + 1)
        aliases = tuple(item for item in _listed(json.get("aliases")) if isinstance(item, str))
        if "default" not in json:
            return Field(name, kind, aliases, NO_DEFAULT)
        try:
            return Field(name, kind, aliases, defaults.value(kind, json["default"]))
        except defaults.DefaultRefused as error:
            raise SchemaRefused(f"The field {name} of {record} has {error}.") from error

    def _enum(self, json: Mapping[str, object], namespace: str) -> Enum:
        name, inside = self._define(json, namespace)
        symbols = tuple(item for item in _listed(json.get("symbols")) if isinstance(item, str))
        if not symbols or len(set(symbols)) < len(symbols) or not all(map(_NAME.fullmatch, symbols)):
            raise SchemaRefused(f"The enum {name} needs symbols that are valid names, none of them twice.")
        default = _text(json.get("default"))
        if default is not None and default not in symbols:
            raise SchemaRefused(f"The default of the enum {name} is not one of its symbols.")
        self.named[name] = kind = Enum(name, symbols, _aliases(json, inside), default)
        return kind

    def _fixed(self, json: Mapping[str, object], namespace: str) -> Fixed:
        name, _ = self._define(json, namespace)
        size = json.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_FIXED_BYTES:
            raise SchemaRefused(f"The fixed type {name} has no valid size.")
        self.named[name] = kind = Fixed(name, size, _text(json.get("logicalType")), _decimal(json))
        return kind

    def _item(self, json: object, what: str, namespace: str, depth: int) -> Type:
        kind = self.type(json, namespace, depth + 1)
        if is_zero_width(kind):
            raise SchemaRefused(
                f"{what} take no bytes ({describe_type(kind)}): a count alone could keep a decoder busy"
            )
        return kind

    def _union(self, json: list[object], namespace: str, depth: int) -> Union:
        if not json:
            raise SchemaRefused("The schema has a union without branches.")
        if any(isinstance(item, list) for item in json):
            raise SchemaRefused("The schema has a union directly inside a union.")
        _check_count(len(json))
        branches = tuple(self.type(item, namespace, depth) for item in json)
        if any(isinstance(branch, Union) for branch in branches):
            raise SchemaRefused("The schema has a union directly inside a union.")
        kinds = [_branch_name(branch) for branch in branches]
        if len(set(kinds)) < len(kinds):
            raise SchemaRefused("The schema has a union with two branches of one type.")
        return Union(branches)

    def _measure(self, kind: Type) -> None:
        inner: tuple[Type, ...]
        match kind:
            case Record():
                inner = tuple(item.type for item in kind.fields)
            case Array():
                inner = (kind.items,)
            case Map():
                inner = (kind.values,)
            case Union():
                inner = tuple(kind.branches)
            case _:
                inner = ()
        sizes = [self.size[id(item)] for item in inner]
        deep = (not isinstance(kind, Union)) + max((size[0] for size in sizes), default=0)
        wide = len(inner) + sum(size[1] for size in sizes)
        if deep > MAX_DEPTH + 1:
            raise SchemaRefused(
                f"The schema is nested more than {MAX_DEPTH} deep once its names are expanded."
            )
        _check_count(wide)
        self.size[id(kind)] = (deep, wide)


def _check_count(fields: int) -> None:
    if fields > MAX_FIELDS:
        raise SchemaRefused(f"The schema has more than {MAX_FIELDS} fields once its names are expanded.")


def _branch_name(kind: Type) -> str:
    match kind:
        case Scalar():
            return kind.kind
        case Record() | Enum() | Fixed():
            return kind.name
        case Array():
            return "array"
        case Map():
            return "map"
        case Union():
            return "union"


def _aliases(json: Mapping[str, object], namespace: str) -> tuple[str, ...]:
    names = (item for item in _listed(json.get("aliases")) if isinstance(item, str))
    return tuple(name if "." in name or not namespace else f"{namespace}.{name}" for name in names)


def _listed(json: object) -> list[object]:
    return json if isinstance(json, list) else []


def _decimal(json: Mapping[str, object]) -> Decimal | None:
    """Return the digits of a decimal; None where there is none, or Avro ignores it for what it says."""
    precision, scale = json.get("precision"), json.get("scale", 0)
    if json.get("logicalType") != "decimal" or type(precision) is not int or type(scale) is not int:
        return None
    return Decimal(precision, scale) if 0 <= scale <= precision and precision > 0 else None


def _text(json: object) -> str | None:
    return json if isinstance(json, str) else None
