"""Avro object container files: a split is a run of blocks that together have about a batch of rows.

The records of a block stand one after the other, as the items of an Avro array do. So a block is read as one
array of records, whole columns at once; the random number behind it comes back unchanged only if its last
record ended where the block does. Records that pyruhvro cannot read this way are read by fastavro one by one.
A damaged block stops the run: where its next record begins, nobody knows.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from stream_infer.avro.schemas import decimal_of, parse_schema
from stream_infer.avro.types import Array, Enum, Fixed, Map, Record, Scalar, Type, without_null
from stream_infer.batch.avro_container import (
    ContainerBlock,
    ContainerHeader,
    blocks,
    read_block,
    read_header,
    write_header,
    write_long,
)
from stream_infer.batch.formats import FileShape
from stream_infer.batch.input_files import InputFile

_SPLIT_ROWS = 131_072
_PLAIN = {
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "bytes": pa.binary(),
    "null": pa.null(),
}
_TIMES = {
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "timestamp-nanos": pa.timestamp("ns", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
    "local-timestamp-nanos": pa.timestamp("ns"),
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
}
_FAST = frozenset({"boolean", "int", "long", "float", "double", "string"})


class AvroFileFormat:
    """A `FileFormat`. The header's schema says what the columns are; a field of several types has none."""

    def shape(self, file: InputFile) -> FileShape:
        with file.location.filesystem.open_input_file(file.location.path) as opened:
            header = read_header(opened)
            shape = arrow_columns(parse_schema(header.schema).root)
            splits = _splits(blocks(opened, header))
            return FileShape(shape, [sum(block.rows for block in split) for split in splits])

    def read(
        self, file: InputFile, split: int, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        del rows  # blocks are small
        with file.location.filesystem.open_input_file(file.location.path) as opened:
            header = read_header(opened)
            record = parse_schema(header.schema).root
            whole = arrow_columns(record)
            shape = pa.schema([whole.field(name) for name in columns])
            fast = _fast_schema(record)
            for block in _splits(blocks(opened, header))[split]:
                data = read_block(opened, header, block)
                if fast is not None:
                    yield _in_columns(data, block, fast, shape)
                else:
                    yield _by_record(data, block, header, shape)


def arrow_columns(record: Record) -> pa.Schema:
    """Return the fields of `record` that Arrow has a type for, as columns."""
    typed = ((field.name, _arrow(field.type)) for field in record.fields)
    return pa.schema([(name, kind) for name, kind in typed if kind is not None])


def _arrow(kind: Type) -> pa.DataType | None:
    plain, _ = without_null(kind)
    digits = decimal_of(plain)
    if digits is not None:
        return pa.decimal128(min(38, digits.precision), digits.scale)
    match plain:
        case Scalar():
            return _TIMES.get(plain.logical or "", _PLAIN[plain.kind])
        case Enum():
            return pa.string()
        case Fixed():
            return pa.binary(plain.size)
        case Array():
            items = _arrow(plain.items)
            return None if items is None else pa.list_(items)
        case Map():
            values = _arrow(plain.values)
            return None if values is None else pa.map_(pa.string(), values)
        case Record():
            fields = [(field.name, _arrow(field.type)) for field in plain.fields]
            return pa.struct([(name, one) for name, one in fields if one is not None])
    return None


def _splits(found: Iterator[ContainerBlock]) -> list[list[ContainerBlock]]:
    splits: list[list[ContainerBlock]] = []
    rows = 0
    for block in found:
        if not splits or rows + block.rows > _SPLIT_ROWS:
            splits.append([])
            rows = 0
        splits[-1].append(block)
        rows += block.rows
    return splits


@dataclass(frozen=True, slots=True)
class _FastSchema:
    """The schema of an array of records and eight bytes behind it, and those bytes."""

    text: str
    guard: bytes


def _fast_schema(record: Record) -> _FastSchema | None:
    """Return how pyruhvro reads a block of `record`, or None: only scalars, enums, and nullable ones."""
    fields: list[dict[str, object]] = []
    for field in record.fields:
        plain, nullable = without_null(field.type)
        if isinstance(plain, Enum):
            shape: object = {"type": "enum", "name": f"e{len(fields)}", "symbols": list(plain.symbols)}
        elif isinstance(plain, Scalar) and plain.kind in _FAST and decimal_of(plain) is None:
            shape = "long" if plain.kind == "int" else plain.kind  # it cuts an int beyond 32 bits silently
        else:
            return None
        if nullable:
            null_first = without_null_first(field.type)
            shape = ["null", shape] if null_first else [shape, "null"]
        fields.append({"name": field.name, "type": shape})
    items = {"type": "record", "name": "row", "fields": fields}
    wrapped = [{"name": "rows", "type": {"type": "array", "items": items}}, {"name": "guard", "type": "long"}]
    text = json.dumps({"type": "record", "name": "block", "fields": wrapped})
    return _FastSchema(text, secrets.token_bytes(4))


def without_null_first(kind: Type) -> bool:
    """Return whether null is the first branch of the union `kind`."""
    branches: Sequence[Type] = getattr(kind, "branches", ())
    return bool(branches) and isinstance(branches[0], Scalar) and branches[0].kind == "null"


def _in_columns(data: bytes, block: ContainerBlock, fast: _FastSchema, shape: pa.Schema) -> pa.RecordBatch:
    mark = int.from_bytes(fast.guard, "big")
    datum = write_long(block.rows) + data + write_long(0) + write_long(mark)
    try:
        table = pyruhvro.deserialize_array([datum], fast.text)
    except ValueError as error:
        raise ValueError(f"the block at byte {block.data_at} cannot be read: {error}") from error
    rows = table.column(0).flatten()
    if table.column(1)[0].as_py() != mark or len(rows) != block.rows:
        raise ValueError(f"the block at byte {block.data_at} does not end where its last record does")
    return _typed({name: rows.field(name) for name in shape.names}, shape)


def _by_record(
    data: bytes, block: ContainerBlock, header: ContainerHeader, shape: pa.Schema
) -> pa.RecordBatch:
    """Read a block by fastavro, as a file of its own whose schema has whole numbers in place of times."""
    plain = json.dumps(_without_times(json.loads(header.schema)))
    head = write_header(plain, "null", header.sync)
    body = write_long(block.rows) + write_long(len(data)) + data + header.sync
    records: list[Any] = list(fastavro.reader(io.BytesIO(head + body)))
    columns: Mapping[str, pa.Array] = {
        field.name: pa.array([record[field.name] for record in records], _raw(field.type)) for field in shape
    }
    return _typed(columns, shape)


def _typed(columns: Mapping[str, pa.Array], shape: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in shape:
        column = columns[field.name]
        if pa.types.is_temporal(field.type):
            column = column.cast(_raw(field.type)).view(field.type)
        arrays.append(column if column.type == field.type else pc.cast(column, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=shape)


def _raw(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_temporal(kind):
        return pa.int32() if kind.bit_width == 32 else pa.int64()  # noqa: PLR2004 - bits
    return kind


def _without_times(node: object) -> object:
    if isinstance(node, list):
        return [_without_times(item) for item in node]
    if isinstance(node, dict):
        kept = {key: _without_times(value) for key, value in node.items() if key != "default"}
        if kept.get("logicalType") in _TIMES:
            del kept["logicalType"]
        return kept
    return node
