"""Events as an Arrow IPC stream, one column for each field: columns that a model reads are taken whole.

Columns of other types than their fields, or with nulls where none may be, go the way of JSON: row by row,
with the same answers and the same errors.

A few bytes of Arrow can stand for any number of values: compressed buffers, dictionaries, views, nulls in
lists. Each is refused or bounded before it is unfolded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.avro.resolve import ARROW
from stream_infer.avro.schemas import NO_DEFAULT, Leaf, Schema, leaves
from stream_infer.avro.types import Array, Enum, Field, Scalar, is_nullable, without_null
from stream_infer.models.frame_builder import Columns
from stream_infer.models.manifest import Manifest
from stream_infer.serving.requests import BadRequest, require_rows

ARROW_STREAM = "application/vnd.apache.arrow.stream"
CONTINUATION = b"\xff\xff\xff\xff"
"""The first bytes of a stream."""

_UNITS: Mapping[str, str] = {"millis": "ms", "micros": "us", "nanos": "ns"}
_TEXTS = (pa.string(), pa.large_string())
_MOST_TEXT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ArrowEvents:
    """The events of a stream: columns of the features' sources, or None and the events as `rows`."""

    columns: Columns | None
    rows: Sequence[Mapping[str, object]]


def events_in_stream(body: bytes, schema: Schema, manifest: Manifest, most: int) -> ArrowEvents:
    """Return the at most `most` events of the stream in `body`. Raises `BadRequest`."""
    table = _table(body, most)
    columns = _columns(table, schema, manifest)
    if columns is not None:
        return ArrowEvents(columns, ())
    try:
        rows = table.to_pylist()
    except (ValueError, OverflowError) as error:  # a time beyond the year 9999
        raise BadRequest(f"a value of the Arrow stream cannot be read: {error}") from error
    nested = {field.name: field.type for field in table.schema if field.type.num_fields}
    for row in rows:
        row.update({name: _with_dicts(row[name], kind) for name, kind in nested.items()})
    return ArrowEvents(None, rows)


def _with_dicts(value: Any, kind: pa.DataType) -> Any:  # noqa: ANN401 - a value of any type
    """Return `value` with dicts in place of the pairs of maps."""
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {key: _with_dicts(one, kind.item_type) for key, one in value}
    if pa.types.is_struct(kind):
        return {field.name: _with_dicts(value[field.name], field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_with_dicts(one, kind.value_type) for one in value]
    return value


def _table(body: bytes, most: int) -> pa.Table:
    """Return the columns of the stream in `body`. Raises `BadRequest`."""
    try:
        if any(map(_is_compressed, pa.ipc.MessageReader.open_stream(pa.py_buffer(body)))):
            raise BadRequest("the Arrow stream is compressed; send it without compression")
        table = _read(body, most)
        names = table.column_names
        if len(set(names)) < len(names):
            raise BadRequest("the Arrow stream has a column twice")
        return pa.table({name: _unfolded(name, table.column(name)) for name in names})
    except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError) as error:
        raise BadRequest(f"the Arrow stream cannot be read: {type(error).__name__}") from error


def _read(body: bytes, most: int) -> pa.Table:
    batches, rows = [], 0
    with pa.ipc.open_stream(body) as reader:
        for batch in reader:
            rows += batch.num_rows
            require_rows(rows, most)
            batch.validate(full=True)  # offsets of others could point anywhere
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _unfolded(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return `column` without a dictionary. Raises `BadRequest` for types that can unfold to any size."""
    kind = column.type
    if pa.types.is_dictionary(kind) and kind.value_type in _TEXTS:
        for chunk in column.chunks:
            lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
            if (pc.sum(lengths).as_py() or 0) > _MOST_TEXT_BYTES:
                raise BadRequest(f"column '{name}' has more than {_MOST_TEXT_BYTES} bytes of text")
        return column.cast(pa.string())
    if not (_is_plain(kind) or pa.types.is_null(kind)):
        raise BadRequest(f"column '{name}' has the type {kind}; use one without views, unions and encodings")
    return column


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return _is_plain(kind.key_type) and _is_plain(kind.item_type)
    if pa.types.is_struct(kind):
        return all(_is_plain(field.type) for field in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_plain(kind.value_type)
    numbers = pa.types.is_primitive(kind) or pa.types.is_decimal(kind)
    return numbers or kind in (*_TEXTS, pa.binary(), pa.large_binary()) or pa.types.is_fixed_size_binary(kind)


def _columns(table: pa.Table, schema: Schema, manifest: Manifest) -> Columns | None:
    """Return the features' sources, cast; None unless every column is what its field says."""
    known = leaves(schema)
    wanted = {feature.source for feature in manifest.features}
    found: dict[str, pa.Array] = {}
    fields = {field.name: field for field in schema.root.fields}
    if not set(table.column_names) <= fields.keys():
        return None
    for name, field in fields.items():
        if name not in table.column_names:
            if not _may_lack(field, wanted):
                return None
            continue
        chunks = table.column(name)
        column = pa.concat_arrays(chunks.chunks) if chunks.num_chunks else pa.array([], chunks.type)
        if name not in known and _is_list_of(column, field):
            continue
        column = _cast(column, known[name], field) if name in known else None
        if column is None:
            return None
        if name in wanted:
            found[name] = column
    return found if wanted <= found.keys() else None


def _may_lack(field: Field, wanted: set[str]) -> bool:
    """Return whether events may come without `field`, and the model reads no part of it."""
    if any(source == field.name or source.startswith(f"{field.name}.") for source in wanted):
        return False
    return field.default is not NO_DEFAULT or is_nullable(field.type)


def _is_list_of(column: pa.Array, field: Field) -> bool:
    """Return whether `column` has lists of plain scalars, as `field` says, and no null."""
    kind, items = field.type, getattr(column.type, "value_type", None)
    if not (isinstance(kind, Array) and isinstance(kind.items, Scalar) and pa.types.is_list(column.type)):
        return False
    same = kind.items.logical is None and items == ARROW.get(kind.items.kind)
    return same and not column.null_count and not column.flatten().null_count


def _cast(column: pa.Array, leaf: Leaf, field: Field) -> pa.Array | None:
    """Return `column` as a decoder gives it; None where its values need a look, one by one."""
    if (column.null_count and not leaf.nullable) or leaf.decimal is not None:
        return None
    try:
        if leaf.logical is not None and not pa.types.is_integer(column.type):
            column = _raw(column, leaf.logical)
        values = None if column is None else _as_kind(column, leaf.kind)
    except pa.ArrowException:  # a value is beyond its field
        return None
    kind = without_null(field.type)[0]
    if values is not None and isinstance(kind, Enum):
        unknown = pc.invert(pc.is_in(values.drop_null(), pa.array(kind.symbols, pa.string())))
        return None if unknown.true_count else values
    return values


def _raw(column: pa.Array, logical: str) -> pa.Array | None:
    """Return points in time as whole numbers, where they have the unit of their field."""
    kind, _, unit = logical.rpartition("-")
    if logical == "date" and pa.types.is_date32(column.type):
        return column.cast(pa.int32())
    if not (pa.types.is_timestamp(column.type) or pa.types.is_time(column.type)):
        return None
    if column.type.unit != _UNITS.get(unit) or kind.endswith("time") != pa.types.is_time(column.type):
        return None
    if kind != "time" and (column.type.tz is None) != kind.startswith("local"):
        return None
    return column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())  # noqa: PLR2004 - bits


def _as_kind(column: pa.Array, kind: str) -> pa.Array | None:
    """Return `column` in the type of `kind` where no value changes; None where one could."""
    given, target = column.type, ARROW[kind]
    if given == target:
        return column
    texts = target == pa.string() and given in _TEXTS
    whole = pa.types.is_integer(given) and not pa.types.is_boolean(target) and target != pa.string()
    if texts or whole or (kind == "double" and given == pa.float32()):
        return column.cast(target)
    if kind == "float" and given == pa.float64():  # rounded, as JSON is
        values = column.cast(target)
        return (
            values if pc.all(pc.equal(pc.is_inf(values), pc.is_inf(column))).as_py() in (True, None) else None
        )
    return None


def _is_compressed(message: pa.ipc.Message) -> bool:
    """Return whether buffers of `message` are compressed, so that few bytes could become any number.

    Reads the flatbuffer of the format: Message {version, header_type, header, bodyLength}, RecordBatch
    {length, nodes, buffers, compression}, DictionaryBatch {id, data, isDelta}.
    """
    if message.type not in ("record batch", "dictionary"):
        return False
    data = message.metadata.to_pybytes()
    header = _field(data, _at(data, 0), 2)
    batch = None if header is None else _at(data, header)
    if batch is not None and message.type == "dictionary":
        inner = _field(data, batch, 1)
        batch = None if inner is None else _at(data, inner)
    return batch is not None and _field(data, batch, 3) is not None


def _at(data: bytes, place: int) -> int:
    """Return where the table begins that the offset at `place` points to."""
    return place + int(struct.unpack_from("<I", data, place)[0])


def _field(data: bytes, table: int, number: int) -> int | None:
    """Return where a field of a table of a flatbuffer is; None where it is not set."""
    known = table - struct.unpack_from("<i", data, table)[0]
    if known < 0 or 4 + 2 * number >= struct.unpack_from("<H", data, known)[0]:
        return None
    offset = struct.unpack_from("<H", data, known + 4 + 2 * number)[0]
    return table + offset if offset else None
