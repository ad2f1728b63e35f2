from __future__ import annotations

import io
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from tests.unit.avro.world import nested, record, write

TEXTS = pa.map_(pa.string(), pa.string())


def read(schema: Schema, datum: bytes) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(datum), schema.parsed)


def test_rows_are_encoded_in_order_and_missing_fields_take_their_default() -> None:
    schema = record(
        ("a", "int"),
        {"name": "b", "type": ["null", "double"], "default": None},
        {"name": "c", "type": "string", "default": "x"},
        {"name": "m", "type": {"type": "map", "values": "string"}, "default": {}},
    )

    data = Encoder(schema, Framing.NONE).encode({"a": pa.array([1, 2], pa.int64())})

    assert [read(schema, datum) for datum in data] == [
        {"a": 1, "b": None, "c": "x", "m": {}},
        {"a": 2, "b": None, "c": "x", "m": {}},
    ]


def test_maps_and_nulls_are_written() -> None:
    schema = record(("m", {"type": "map", "values": "string"}), ("n", ["null", "long"]))
    columns = {"m": pa.array([[("k", "v")], []], TEXTS), "n": pa.array([None, 3])}

    data = Encoder(schema, Framing.NONE).encode(columns)

    assert data == write(schema, {"m": {"k": "v"}, "n": None}, {"m": {}, "n": 3})


def test_a_single_object_value_starts_with_the_fingerprint() -> None:
    schema = record(("a", "int"))

    assert Encoder(schema, Framing.SINGLE_OBJECT).encode({"a": pa.array([1])}) == [
        b"\xc3\x01" + schema.fingerprint + b"\x02"
    ]


def test_timestamps_are_raw_integers() -> None:
    schema = record(("at", {"type": "long", "logicalType": "timestamp-millis"}))

    assert Encoder(schema, Framing.NONE).encode({"at": pa.array([5])}) == [b"\x0a"]


def test_types_that_pyruhvro_lacks_are_written_too() -> None:
    inner = nested("Inner", ("raw", "bytes"), ("tags", {"type": "map", "values": "int"}))
    schema = record(
        ("items", {"type": "array", "items": inner}),
        ("at", {"type": "long", "logicalType": "timestamp-micros"}),
        {"name": "again", "type": ["null", "Inner"], "default": None},
    )
    kind = pa.struct({"raw": pa.binary(), "tags": pa.map_(pa.string(), pa.int32())})
    items = pa.array([[{"raw": b"\xff", "tags": [("k", 1)]}]], pa.list_(kind))

    data = Encoder(schema, Framing.NONE).encode({"items": items, "at": pa.array([7])})

    plain = {"items": [{"raw": b"\xff", "tags": {"k": 1}}], "at": 7, "again": None}
    assert data == write(schema, plain)


def test_a_null_where_a_record_inside_has_none_is_refused() -> None:
    schema = record(("r", ["null", nested("Inner", ("x", "int"), ("y", ["null", "int"]))]))
    kind = pa.struct({"x": pa.int32(), "y": pa.int32()})
    encoder = Encoder(schema, Framing.NONE)

    assert len(encoder.encode({"r": pa.array([None, {"x": 1, "y": None}], kind)})) == 2
    with pytest.raises(ValueError, match=r"r\.x has a null"):
        encoder.encode({"r": pa.array([{"x": None, "y": 1}], kind)})


def test_no_rows_are_no_values() -> None:
    assert Encoder(record(("a", "int")), Framing.NONE).encode({"a": pa.array([], pa.int32())}) == []


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"b": pa.array([1])}, "has no field b"),
        ({"m": pa.array([[]], TEXTS)}, "a has no column and no default"),
        ({"a": pa.array([None], pa.int32())}, "a has a null"),
        ({"a": pa.array([1]), "m": pa.array([[("k", None)]], TEXTS)}, r"m\.values has a null"),
        ({"a": pa.array([1, 2]), "m": pa.array([[]], TEXTS)}, "one length"),
        ({"a": pa.array([1]), "l": pa.array([[2**31]])}, r"l\.items has a value"),
        ({"a": pa.array([2**31])}, "does not fit 32 bits"),
        ({"a": pa.array([1]), "e": pa.array(["Z"])}, "Z"),
        ({}, "one length"),
    ],
)
def test_columns_that_are_not_the_schemas_are_refused(columns: dict[str, pa.Array], sentence: str) -> None:
    schema = record(
        ("a", "int"),
        {"name": "m", "type": {"type": "map", "values": "string"}, "default": {}},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"]}, "default": "A"},
        {"name": "l", "type": {"type": "array", "items": "int"}, "default": []},
    )

    with pytest.raises(ValueError, match=sentence):
        Encoder(schema, Framing.NONE).encode(columns)
