"""From columns to framed values: one datum per row.

pyruhvro writes batches of flat records (scalars, enums, arrays and maps of scalars, each also nullable, and
arrays of such records); fastavro writes the rest, row by row. A property test holds the two equal.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import fastavro
import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from stream_infer.avro import pyruhvro_schema
from stream_infer.avro.framing import Framing, head
from stream_infer.avro.schemas import Schema
from stream_infer.avro.types import (
    NO_DEFAULT,
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Record,
    Scalar,
    Type,
    Union,
    is_null,
    without_null,
)


class Encoder:
    """Encodes columns as records of `schema`, each value framed; `schema_id` is for the Confluent framing."""

    def __init__(self, schema: Schema, framing: Framing, *, schema_id: int | None = None) -> None:
        self._record = schema.root
        self._head = head(framing, schema, schema_id)
        self._fast = _fast_writer(schema.root)
        self._parsed = fastavro.parse_schema(_named(schema.root, {schema.root.name}))

    def encode(self, columns: Mapping[str, pa.Array]) -> list[bytes]:
        """Return one value per row of `columns`, which are named as the fields; others take their default.

        Timestamps and the like are raw integers, maps `pa.map_` arrays. Raises `ValueError` for a column that
        is not a field, a field without column and default, a null or a value that its type does not have.
        """
        rows = _rows(columns)
        if unknown := columns.keys() - {field.name for field in self._record.fields}:
            raise ValueError(f"{self._record.name} has no field {min(unknown)}.")
        if not rows:
            return []
        for field in self._record.fields:
            if field.name in columns:
                _require(field.type, columns[field.name], field.name)
            elif field.default is NO_DEFAULT:
                raise ValueError(f"The field {field.name} has no column and no default.")
        data = (
            self._by_row(columns, rows) if self._fast is None else self._in_batch(self._fast, columns, rows)
        )
        return [self._head + datum for datum in data] if self._head else data

    def _in_batch(self, fast: FastWriter, columns: Mapping[str, pa.Array], rows: int) -> list[bytes]:
        arrays = []
        for field, target in zip(fast.fields, fast.target, strict=True):
            column = columns.get(field.name)
            if column is None:
                arrays.append(pa.repeat(pa.scalar(field.default, target.type), rows))
                continue
            arrays.append(_fitted(column, field.type, target.type))
        batch = pa.record_batch(arrays, names=fast.target.names)
        (data,) = pyruhvro.serialize_record_batch(batch, fast.schema, 1)
        encoded: list[bytes] = data.to_pylist()
        return encoded

    def _by_row(self, columns: Mapping[str, pa.Array], rows: int) -> list[bytes]:
        values = {
            field.name: [_value(field.type, value) for value in columns[field.name].to_pylist()]
            if field.name in columns
            else [_value(field.type, field.default)] * rows
            for field in self._record.fields
        }
        return [self._row({name: column[row] for name, column in values.items()}) for row in range(rows)]

    def _row(self, record: Mapping[str, object]) -> bytes:
        out = io.BytesIO()
        try:
            fastavro.schemaless_writer(out, self._parsed, record)
        except (TypeError, OverflowError, AttributeError, LookupError) as error:
            raise ValueError(f"A row is not a record of {self._record.name}: {error}") from error
        return out.getvalue()


@dataclass(frozen=True, slots=True)
class FastWriter:
    """A record type that pyruhvro writes: its schema, and the Arrow field of each field that has bytes."""

    schema: str
    fields: Sequence[Field]
    target: pa.Schema


def _fast_writer(record: Record) -> FastWriter | None:
    fields = [field for field in record.fields if not is_null(field.type)]
    if not fields or not all(map(_is_flat, fields)):
        return None
    schema = pyruhvro_schema.rewrite(record)
    if schema is None:
        return None
    try:
        return FastWriter(schema, fields, pyruhvro.deserialize_array([], schema).schema)
    except ValueError:
        return None


def _fitted(column: pa.Array, kind: Type, target: pa.DataType) -> pa.Array:
    """Return `column` with the type, and in records the names, that pyruhvro expects."""
    if column.type == target:
        return column
    match kind:
        case Array(Record() as items):
            first = column.offsets[0]
            starts = pc.subtract(column.offsets, first) if first.as_py() else column.offsets
            return pa.ListArray.from_arrays(starts, _fitted(column.flatten(), items, target.value_type))
        case Record():
            fields = [
                _fitted(_child(column, field.name), field.type, arrow.type)
                for field, arrow in zip(kind.fields, target, strict=True)
            ]
            return pa.StructArray.from_arrays(fields, [arrow.name for arrow in target])
        case _:
            return column.cast(target)


def _child(column: pa.StructArray, name: str) -> pa.Array:
    """Return a field of records, null where the record is; free where no record is null, as nearly always."""
    return pc.struct_field(column, name) if column.null_count else column.field(name)


def _is_flat(field: Field) -> bool:
    if isinstance(field.type, Array) and isinstance(field.type.items, Record):
        return all(
            isinstance(inner.type, Scalar | Array) and _is_flat(inner) for inner in field.type.items.fields
        )
    if isinstance(field.type, Union) and len(field.type.branches) == 1:
        return False
    kind, _ = without_null(field.type)
    match kind:
        case Array():
            kind, _ = without_null(kind.items)
        case Map():
            kind, _ = without_null(kind.values)
    return isinstance(kind, Enum) or (isinstance(kind, Scalar) and kind.kind not in {"null", "bytes"})


def _rows(columns: Mapping[str, pa.Array]) -> int:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"Columns need one length, not {sorted(lengths) or 'none'}.")
    return lengths.pop()


def _require(kind: Type, values: pa.Array, path: str) -> None:
    """Refuse values that the writers accept and must not: a null without a null type, an int over 32 bits."""
    kind, nullable = without_null(kind)
    if values.null_count and not nullable and not isinstance(kind, Union) and not is_null(kind):
        raise ValueError(f"The field {path} has a null, and its type does not.")
    match kind:
        case Scalar("int") if values.type != pa.int32():
            try:
                values.cast(pa.int32())
            except pa.ArrowInvalid as error:
                raise ValueError(f"The field {path} has a value that does not fit 32 bits.") from error
        case Array():
            _require(kind.items, values.flatten(), f"{path}.items")
        case Map():
            _require(kind.values, values.items, f"{path}.values")
        case Record():
            there = values.drop_null() if values.null_count else values
            for field in kind.fields:
                _require(field.type, _child(there, field.name), f"{path}.{field.name}")


def _value(kind: Type, value: object) -> object:
    """Return an Arrow value in the form that fastavro expects: a map comes as a list of pairs."""
    kind, _ = without_null(kind)
    match kind, value:
        case Map(), list():
            return {key: _value(kind.values, item) for key, item in value}
        case Map(), dict():
            return {key: _value(kind.values, item) for key, item in value.items()}
        case Array(), list():
            return [_value(kind.items, item) for item in value]
        case Record(), dict():
            return {field.name: _value(field.type, value[field.name]) for field in kind.fields}
        case _:
            return value


def _without_logical_types(kind: Type, defined: set[str]) -> object:
    """Return `kind` as JSON without logical types: fastavro would otherwise expect datetimes and decimals."""
    match kind:
        case Scalar():
            return kind.kind
        case Array():
            return {"type": "array", "items": _without_logical_types(kind.items, defined)}
        case Map():
            return {"type": "map", "values": _without_logical_types(kind.values, defined)}
        case Union():
            return [_without_logical_types(branch, defined) for branch in kind.branches]
        case _ if kind.name in defined:
            return kind.name
        case _:
            defined.add(kind.name)
            return _named(kind, defined)


def _named(kind: Enum | Fixed | Record, defined: set[str]) -> dict[str, object]:
    namespace, _, name = kind.name.rpartition(".")
    start: dict[str, object] = {"name": name, "namespace": namespace}
    match kind:
        case Enum():
            return {"type": "enum", **start, "symbols": list(kind.symbols)}
        case Fixed():
            return {"type": "fixed", **start, "size": kind.size}
        case Record():
            fields = [
                {"name": field.name, "type": _without_logical_types(field.type, defined)}
                for field in kind.fields
            ]
            return {"type": "record", **start, "fields": fields}
