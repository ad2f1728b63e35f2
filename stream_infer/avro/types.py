"""Avro types as a tree of frozen values, which every other module of this package walks.

A named type that is used twice is the same object twice. `parsing` makes the tree from JSON, `strict` and
`pyruhvro_schema` know the bytes of a type.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple


class Absent(enum.Enum):
    """The type of `NO_DEFAULT`: None is a default like any other."""

    NO_DEFAULT = "no default"


NO_DEFAULT: Final = Absent.NO_DEFAULT


class Decimal(NamedTuple):
    """The digits of a decimal number, and how many of them follow the point."""

    precision: int
    scale: int


@dataclass(frozen=True, slots=True, eq=False)
class Scalar:
    """A primitive type: null, boolean, int, long, float, double, string or bytes. `decimal` is for bytes."""

    kind: str
    logical: str | None = None
    decimal: Decimal | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Enum:
    """One of a list of symbols. `default` stands for a symbol that a reader does not know."""

    name: str
    symbols: Sequence[str]
    aliases: Sequence[str] = ()
    default: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """Exactly `size` bytes."""

    name: str
    size: int
    logical: str | None = None
    decimal: Decimal | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """Any number of items."""

    items: Type


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """Any number of values, each with a string key."""

    values: Type


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    """One of several branches."""

    branches: Sequence[Type]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of a record. `default` is a Python value of the field's type, or `NO_DEFAULT`."""

    name: str
    type: Type
    aliases: Sequence[str] = ()
    default: object = NO_DEFAULT


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Fields in the order of their bytes. `name` and `aliases` are full names."""

    name: str
    fields: Sequence[Field]
    aliases: Sequence[str] = ()


Type = Scalar | Enum | Fixed | Array | Map | Union | Record


def is_null(kind: Type) -> bool:
    """Return whether `kind` is the type null."""
    return isinstance(kind, Scalar) and kind.kind == "null"


def is_nullable(kind: Type) -> bool:
    """Return whether `kind` is null, or a union with it."""
    return is_null(kind) or (isinstance(kind, Union) and any(map(is_null, kind.branches)))


def without_null(kind: Type) -> tuple[Type, bool]:
    """Return `kind` without null, and whether it may be null: `[null, T]` gives `(T, True)`, `[T]` T."""
    if isinstance(kind, Union) and len(kind.branches) == 1 and not is_null(kind.branches[0]):
        return kind.branches[0], False
    if isinstance(kind, Union) and len(kind.branches) == 2:  # noqa: PLR2004 - null and the other
        first, second = kind.branches
        if is_null(first) != is_null(second):
            return (second if is_null(first) else first), True
    return kind, False


def is_zero_width(kind: Type) -> bool:
    """Return whether values of `kind` take no bytes at all."""
    if isinstance(kind, Record):
        return all(is_zero_width(field.type) for field in kind.fields)
    if isinstance(kind, Fixed):
        return kind.size == 0
    return is_null(kind)


def describe_type(kind: Type) -> str:
    """Return `kind` in words: "an array", "a union of int and string"."""
    match kind:
        case Scalar():
            return f"{kind.kind} ({kind.logical})" if kind.logical else kind.kind
        case Enum():
            return f"the enum {kind.name}"
        case Fixed():
            return f"fixed ({kind.logical})" if kind.logical else "fixed"
        case Array():
            return "an array"
        case Map():
            return "a map"
        case Record():
            return f"the record {kind.name}"
        case Union():
            return "a union of " + " and ".join(describe_type(branch) for branch in kind.branches)
