"""Avro's schema resolution, once per writer and path: the place of a reader's leaf in a writer's record.

The rules: a field is found by its name, else by the reader's aliases for it; records and enums agree when
their unqualified names do, or by alias; int goes to long, float and double, long to float and double, float
to double; a field that the writer does not have is the reader's default. Values are checked on the column:
a null or a symbol that the reader does not know, an int beyond 32 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.avro.leaf_columns import (
    MAX_DECIMAL_BYTES,
    NUMBER,
    decimal_numbers,
    real_numbers,
    whole_numbers,
)
from stream_infer.avro.schemas import decimal_of, feature_kind
from stream_infer.avro.types import (
    NO_DEFAULT,
    Enum,
    Field,
    Fixed,
    Record,
    Type,
    Union,
    describe_type,
    is_null,
    is_nullable,
    without_null,
)
from stream_infer.flow.codes import DeadLetterClass

ARROW = {
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "enum": pa.string(),
}
_RAW = {"int": pa.int64(), "number": NUMBER, "decimal": pa.binary()}
_PROMOTIONS = {"int": ("long", "float", "double"), "long": ("float", "double"), "float": ("double",)}


_INEXACT = "A whole number is beyond 2^53, where a float is not exact."
_TOO_LONG = f"A decimal of more than {MAX_DECIMAL_BYTES} bytes is out of the range of a float."


@dataclass(frozen=True, slots=True)
class Symbols:
    """The symbols of a reader's enum, and the one that replaces unknown ones, if any."""

    known: Sequence[str]
    default: str | None


@dataclass(frozen=True, slots=True)
class ReadField:
    """A leaf that the writer has: the indices of the fields that lead to it, and the conversion of values.

    `target` is the kind of a leaf, and so is `source`, or it is "number" for a union of numbers, "decimal"
    for a number of `scale`, which may be in `fixed` bytes. `symbols` is None unless the writer has symbols
    that the reader does not have.
    """

    indices: tuple[int, ...]
    source: str
    target: str
    nullable: bool
    symbols: Symbols | None
    scale: int = 0
    fixed: bool = False

    @property
    def raw(self) -> pa.DataType:
        """The type of the column as decoded: an int is read as a long, so that a wider one can be found."""
        return _RAW.get(self.source) or ARROW[self.source]


@dataclass(frozen=True, slots=True)
class Constant:
    """A leaf that the writer does not have: the reader's default for every row."""

    value: object
    target: str


@dataclass(frozen=True, slots=True)
class Incompatible:
    """A leaf that no row of this writer can have, and the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """Rows whose value the reader cannot have: a mask, a class and a sentence."""

    mask: pa.BooleanArray
    error_class: DeadLetterClass
    message: str


Plan = ReadField | Constant | Incompatible


def resolve_path(path: str, writer: Record, reader: Record) -> Plan:
    """Return the plan to read the leaf at `path` of `reader` from data of `writer`."""
    indices: tuple[int, ...] = ()
    nullable = False
    written: Type = writer
    read: Type = reader
    names = path.split(".")
    for depth, name in enumerate(names):
        if not isinstance(written, Record) or not isinstance(read, Record) or not _same(written, read):
            return Incompatible(
                f"{path}: the writer has {describe_type(written)}, the reader {describe_type(read)}."
            )
        field_read = next(field for field in read.fields if field.name == name)
        index = _find(written, field_read)
        if index is None:
            return _default(path, field_read, names[depth + 1 :])
        indices = (*indices, index)
        written, _ = without_null(written.fields[index].type)
        read, _ = without_null(field_read.type)
        nullable = nullable or is_nullable(field_read.type)
        if is_null(written) and is_nullable(field_read.type):
            return Constant(None, feature_kind(_below(read, names[depth + 1 :])) or "")
    return _leaf(path, written, read, indices, nullable=nullable)


def finish_column(column: pa.Array, field: ReadField) -> tuple[pa.Array, Sequence[Unfit]]:
    """Return `column`, of type `field.raw`, in the reader's type, and the rows that do not fit it."""
    unfit = []
    if column.null_count and not field.nullable:
        unfit.append(
            Unfit(
                column.is_null(),
                DeadLetterClass.SCHEMA_INCOMPATIBLE,
                "A value is null, which the reader refuses.",
            )
        )
    if field.symbols is not None:
        column, unknown = _known(column, field.symbols)
        unfit.extend(unknown)
    if field.source == "int":
        column, wide = _narrowed(column)
        unfit.extend(wide)
    elif field.source == "number" and field.target == "long":
        column = whole_numbers(column)
    elif field.source == "number":
        column, inexact = real_numbers(column)
        unfit.append(Unfit(inexact, DeadLetterClass.OUT_OF_PRECISION, _INEXACT))
    elif field.source == "decimal":
        column, too_long = decimal_numbers(column, field.scale)
        unfit.append(Unfit(too_long, DeadLetterClass.OUT_OF_RANGE, _TOO_LONG))
    return column.cast(ARROW[field.target], safe=False), unfit


def _known(column: pa.Array, symbols: Symbols) -> tuple[pa.Array, Sequence[Unfit]]:
    unknown = pc.and_(column.is_valid(), pc.invert(pc.is_in(column, pa.array(symbols.known, pa.string()))))
    if not unknown.true_count:
        return column, ()
    if symbols.default is not None:
        return pc.if_else(unknown, symbols.default, column), ()
    return column, [
        Unfit(
            unknown,
            DeadLetterClass.SCHEMA_INCOMPATIBLE,
            "An enum has a symbol that the reader does not know.",
        )
    ]


def _narrowed(column: pa.Array) -> tuple[pa.Array, Sequence[Unfit]]:
    try:
        return column.cast(pa.int32()), ()
    except pa.ArrowInvalid:
        narrow = column.cast(pa.int32(), safe=False)
        wide = pc.fill_null(pc.not_equal(narrow.cast(pa.int64()), column), fill_value=False)
        return narrow, [Unfit(wide, DeadLetterClass.INVALID, "An int does not fit 32 bits.")]


def _leaf(path: str, written: Type, read: Type, indices: tuple[int, ...], *, nullable: bool) -> Plan:
    source, target = feature_kind(written), feature_kind(read)
    decimal = decimal_of(written)
    fits = source == target or target in _PROMOTIONS.get(source or "", ())
    if source is None or target is None or not fits or (decimal is None) != (decimal_of(read) is None):
        return Incompatible(
            f"{path}: the writer has {describe_type(written)}, the reader {describe_type(read)}."
        )
    symbols = None
    if isinstance(written, Enum) and isinstance(read, Enum):
        if not _same(written, read):
            return Incompatible(
                f"{path}: the writer has {describe_type(written)}, the reader {describe_type(read)}."
            )
        if not set(written.symbols) <= set(read.symbols):
            symbols = Symbols(tuple(read.symbols), read.default)
    if decimal is not None:
        return ReadField(
            indices, "decimal", target, nullable, None, decimal.scale, isinstance(written, Fixed)
        )
    if isinstance(written, Union):
        source = "number"
    return ReadField(indices, source, target, nullable, symbols)


def _same(written: Record | Enum, read: Record | Enum) -> bool:
    return _short(written.name) in {_short(read.name), *map(_short, read.aliases)}


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _find(record: Record, field: Field) -> int | None:
    at = {one.name: index for index, one in enumerate(record.fields)}
    return next((at[name] for name in (field.name, *field.aliases) if name in at), None)


def _default(path: str, field: Field, names: Sequence[str]) -> Plan:
    if field.default is NO_DEFAULT:
        return Incompatible(f"{path}: the writer does not have it, and the reader has no default for it.")
    value = reduce(lambda inner, name: inner[name] if isinstance(inner, dict) else None, names, field.default)
    kind = _below(without_null(field.type)[0], names)
    decimal = decimal_of(kind)
    if decimal is not None and isinstance(value, bytes):
        value = int.from_bytes(value, "big", signed=True) / 10**decimal.scale
    return Constant(value, feature_kind(kind) or "")


def _below(kind: Type, names: Sequence[str]) -> Type:
    for name in names:
        if isinstance(kind, Record):
            kind, _ = without_null(next(field.type for field in kind.fields if field.name == name))
    return kind
