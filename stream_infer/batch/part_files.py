"""The bytes of a part: Parquet, or an Avro object container file. The same rows give the same bytes."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, parse_schema
from stream_infer.batch.avro_container import write_header, write_long

WritePart = Callable[[str, pa.RecordBatch], bytes]
"""The bytes of the part with this name."""

_TEXTS = pa.map_(pa.string(), pa.string())
_NUMBERS = pa.map_(pa.string(), pa.float64())
_TIME = pa.timestamp("ms", "UTC")
PREDICTION_SHAPE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source_topic", pa.string(), nullable=False),
        pa.field("source_partition", pa.int32(), nullable=False),
        pa.field("source_offset", pa.int64(), nullable=False),
        pa.field("event_time", _TIME, nullable=False),
        pa.field("scored_at", _TIME, nullable=False),
        pa.field("pipeline", pa.string(), nullable=False),
        pa.field("model_name", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("model_digest", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("value", pa.float64()),
        pa.field("class_scores", _NUMBERS),
        pa.field("copied", _TEXTS, nullable=False),
        pa.field("values", _NUMBERS),
    ]
)
"""The record `Prediction` as columns."""

_BLOCK_ROWS = 4_096
_DEFLATE_LEVEL = 6


def shape_of(joined: Sequence[pa.Field]) -> pa.Schema:
    """Return the columns of a part: those of a prediction, then `joined`."""
    return pa.schema([*PREDICTION_SHAPE, *joined])


def parquet_part(_name: str, table: pa.RecordBatch) -> bytes:
    """Return `table` as a Parquet file with one row group; times and identities are small as dictionaries."""
    sink = pa.BufferOutputStream()
    rows = max(1, table.num_rows)
    pq.write_table(pa.Table.from_batches([table]), sink, row_group_size=rows, write_page_checksum=True)
    return bytes(sink.getvalue())


class AvroParts:
    """Writes parts as Avro object container files, deflated. The sync marker comes from the part's name."""

    def __init__(self, shape: pa.Schema) -> None:
        document = json.loads(topic_schemas.topic_schema("Prediction").text)
        document["fields"] += [avro_field(field) for field in list(shape)[len(PREDICTION_SHAPE) :]]
        schema: Schema = parse_schema(json.dumps(document))
        self._text = json.dumps(document, separators=(",", ":"))
        self._encoder = Encoder(schema, Framing.NONE)

    def __call__(self, name: str, table: pa.RecordBatch) -> bytes:
        sync = hashlib.sha256(name.encode()).digest()[:16]
        written = bytearray(write_header(self._text, "deflate", sync))
        for start in range(0, table.num_rows, _BLOCK_ROWS):
            rows = table.slice(start, _BLOCK_ROWS)
            values = self._encoder.encode({n: _raw(rows.column(n)) for n in rows.schema.names})
            deflater = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            data = deflater.compress(b"".join(values)) + deflater.flush()
            written += write_long(len(values)) + write_long(len(data)) + data + sync
        return bytes(written)


def avro_field(field: pa.Field) -> Mapping[str, object]:
    """Return `field` as an Avro field that may be null. Raises `ValueError` for another type."""
    for matches, kind in _AVRO_TYPES:
        if matches(field.type):
            return {"name": field.name, "type": ["null", kind], "default": None}
    raise ValueError(f"column '{field.name}' is {field.type}, which an Avro file here does not hold")


def _raw(column: pa.Array) -> pa.Array:
    """Return times as the whole numbers that Avro carries, and short numbers as long ones."""
    if pa.types.is_timestamp(column.type):
        unit = "ms" if column.type == _TIME else "us"
        return column.cast(pa.timestamp(unit, column.type.tz), safe=False).cast(pa.int64())
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32())
    if pa.types.is_integer(column.type) and column.type != pa.int32():
        return column.cast(pa.int64())
    return column


_AVRO_TYPES: Sequence[tuple[Callable[[pa.DataType], bool], object]] = (
    (pa.types.is_boolean, "boolean"),
    (lambda kind: kind == pa.int32(), "int"),
    (lambda kind: pa.types.is_integer(kind) and kind != pa.uint64(), "long"),
    (pa.types.is_float32, "float"),
    (pa.types.is_float64, "double"),
    (pa.types.is_string, "string"),
    (lambda kind: kind == _TIME, {"type": "long", "logicalType": "timestamp-millis"}),
    (pa.types.is_timestamp, {"type": "long", "logicalType": "timestamp-micros"}),
    (pa.types.is_date32, {"type": "int", "logicalType": "date"}),
)
