from __future__ import annotations

import datetime as dt
import io
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pandas as pd
import pytest

from stream_infer.avro.schemas import Schema, parse_schema
from stream_infer.datasets.files import read_rows
from stream_infer.datasets.row_events import FieldMisfit, RowConverter
from stream_infer.packaging.datum import encode_datum

NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
NOON_MS = int(NOON.timestamp() * 1000)


def schema(*fields: tuple[str, object], **defaults: object) -> Schema:
    listed = [{"name": name, "type": kind} for name, kind in fields]
    with_defaults = [f | ({"default": defaults[f["name"]]} if f["name"] in defaults else {}) for f in listed]
    return parse_schema(json.dumps({"type": "record", "name": "Event", "fields": with_defaults}))


def logical(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": name, **more}


def converted(kind: object, value: object) -> Any:
    """Return what a consumer reads in a field of type `kind` that was sent as `value`."""
    events = schema(("x", kind))
    event = RowConverter(events, {}, fill=False).event({"x": value})
    datum = io.BytesIO(encode_datum(events, event))
    record: Any = fastavro.schemaless_reader(datum, events.parsed, None)
    return record["x"]


def misfit(events: Schema, row: Mapping[str, object]) -> FieldMisfit:
    with pytest.raises(FieldMisfit) as raised:
        RowConverter(events, {}, fill=False).event(row)
    assert raised.value.fix
    return raised.value


ENUM = {"type": "enum", "name": "Color", "symbols": ["RED", "BLUE"]}
FIXED = {"type": "fixed", "name": "Two", "size": 2}
MONEY = logical("bytes", "decimal", precision=6, scale=2)
INNER = {"type": "record", "name": "Inner", "fields": [{"name": "n", "type": "int"}]}


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("int", "3", 3),
        ("int", "3.0", 3),
        ("int", 3.0, 3),
        ("long", str(2**63 - 1), 2**63 - 1),
        ("double", "1e-3", 0.001),
        ("double", 3, 3.0),
        ("float", "0.5", 0.5),
        ("double", "-inf", -math.inf),
        ("boolean", "TRUE", True),
        ("boolean", "0", False),
        ("boolean", 1, True),
        ("string", "0123", "0123"),
        ("bytes", "\u00ff", b"\xff"),
        ("bytes", b"\x00", b"\x00"),
        (ENUM, "BLUE", "BLUE"),
        (FIXED, "ab", b"ab"),
        (MONEY, "12.5", Decimal("12.50")),
        (MONEY, 12, Decimal("12.00")),
        (MONEY, Decimal("1.25"), Decimal("1.25")),
        (logical("string", "uuid"), UUID(int=7), UUID(int=7)),
        (logical("long", "timestamp-millis"), "2026-01-31T12:00:00Z", NOON),
        (logical("long", "timestamp-millis"), "2026-01-31 13:00:00+01:00", NOON),
        (logical("long", "timestamp-millis"), NOON_MS, NOON),
        (logical("long", "timestamp-millis"), str(NOON_MS), NOON),
        (logical("long", "timestamp-micros"), NOON, NOON),
        (logical("long", "timestamp-micros"), NOON.replace(tzinfo=None), NOON),
        (logical("int", "date"), "2026-01-31", NOON.date()),
        (logical("int", "date"), NOON.date(), NOON.date()),
        (logical("int", "time-millis"), "12:30:01.5", dt.time(12, 30, 1, 500_000)),
        (logical("long", "time-micros"), dt.time(0, 0, 0, 7), dt.time(0, 0, 0, 7)),
        (["null", "int"], None, None),
        (["null", "int"], "4", 4),
        (["null", "int", "string"], "4", "4"),
        (["null", "boolean", "long"], 1, 1),
        (["null", "string", "double"], 1, 1.0),
        ({"type": "array", "items": "int"}, [1, 2.0], [1, 2]),
        ({"type": "map", "values": "double"}, {"a": 1}, {"a": 1.0}),
        ({"type": "map", "values": "double"}, [("a", 1)], {"a": 1.0}),
        (INNER, {"n": 1}, {"n": 1}),
    ],
)
def test_a_value_is_read_as_the_field_has_it(kind: object, value: object, read: object) -> None:
    assert converted(kind, value) == read


def test_a_time_in_nanoseconds_keeps_all_of_them() -> None:
    events = schema(("x", logical("long", "timestamp-nanos")))
    stamp = pd.Timestamp("2026-01-31T12:00:00.123456789Z")

    assert RowConverter(events, {}, fill=False).event({"x": stamp}) == {"x": stamp.value}


def test_no_value_is_nan_in_a_number_that_cannot_be_null() -> None:
    assert math.isnan(converted("double", None))


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("int", "abc", "is not a whole number"),
        ("int", 1.5, "is not a whole number"),
        ("int", "1_000", "is not a whole number"),
        ("int", True, "is not a whole number"),
        ("int", math.nan, "is not a whole number"),
        ("int", 2**31, "is out of the range of int"),
        ("int", None, "is empty, and the field cannot be null"),
        ("long", NOON, "is a time, and the field a plain long"),
        ("double", "1,5", "is not a double"),
        ("boolean", "yes", "is neither true nor false"),
        ("string", 7, "is int, not text"),
        ("null", 7, "is a value, and the field is always null"),
        ("bytes", "\u0100", "has a character that is no byte"),
        ("bytes", 7, "is int, not bytes"),
        (ENUM, "GREEN", "is not a symbol of the enum"),
        (FIXED, "abc", "has 3 bytes, and the field 2"),
        (MONEY, "ten", "is not a decimal number"),
        (logical("long", "timestamp-millis"), "noon", "is not a timestamp-millis"),
        (logical("int", "date"), "31.31.2026", "is not a date"),
        (logical("int", "time-millis"), "noon", "is not a time-millis"),
        ({"type": "array", "items": "int"}, "1;2", "is not an array"),
        (INNER, "x", "is not the record Inner"),
        (["null", "int", "boolean"], "x", "fits no branch of the union of int and boolean"),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_field_and_reason(
    kind: object, value: object, reason: str
) -> None:
    found = misfit(schema(("x", kind)), {"x": value})

    assert (found.field, found.value, str(found)) == ("x", value, reason)


def test_the_path_leads_into_records_arrays_and_maps() -> None:
    rows = {"type": "array", "items": {"type": "map", "values": INNER}}

    found = misfit(schema(("x", rows)), {"x": [{}, {"k": {"n": "?"}}]})

    assert (found.field, found.value) == ("x[1].k.n", "?")


def test_columns_with_dots_are_the_fields_of_records() -> None:
    events = schema(("shop", INNER), ("maybe", ["null", {**INNER, "name": "Other"}]))
    converter = RowConverter(events, {"number": "shop.n"}, fill=False)

    assert converter.event({"number": "1", "maybe.n": "2"}) == {"shop": {"n": 1}, "maybe": {"n": 2}}
    assert converter.event({"number": "1", "maybe.n": None}) == {"shop": {"n": 1}, "maybe": None}


def test_a_column_beside_the_one_of_its_record_is_refused() -> None:
    found = misfit(schema(("shop", INNER)), {"shop": 3, "shop.n": "1"})

    assert str(found) == "is a column beside that of its record"


def test_a_field_without_a_column_takes_its_default_else_null() -> None:
    events = schema(("x", "int"), ("y", "int"), ("z", ["null", "string"]), y=4)
    event = RowConverter(events, {}, fill=False).event({"x": 1})

    read: Any = fastavro.schemaless_reader(io.BytesIO(encode_datum(events, event)), events.parsed, None)
    assert read == {"x": 1, "y": 4, "z": None}


def test_a_field_without_column_default_and_null_is_refused_with_the_column_that_may_be_meant() -> None:
    found = misfit(schema(("amount", "double"), ("x", "int")), {"amonut": 1, "x": 1})

    assert found.field == "amount"
    assert str(found) == "has no column, and the field (double) has no default"
    assert "rename a column (amonut), or use --map COLUMN=amount, or --fill" in found.fix


def test_fill_gives_such_fields_a_zero_and_remembers_them() -> None:
    converter = RowConverter(schema(("x", "int"), ("s", "string"), ("r", INNER)), {}, fill=True)

    assert converter.event({"x": 1, "r.m": 3}) == {"x": 1, "s": "", "r": {"n": 0}}
    assert converter.filled == {"s", "r.n"}
    assert converter.unused == {"r.m"}


def test_what_pandas_writes_is_what_is_sent(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1.5, None], "s": ["a", None], "at": pd.to_datetime(["2026-01-31", None])})
    nullable = ["null", logical("long", "timestamp-millis")]
    events = schema(("x", "double"), ("s", ["null", "string"]), ("at", nullable))
    sent = []
    for name in ("rows.csv", "rows.parquet"):
        file = tmp_path / name
        frame.to_csv(file, index=False) if file.suffix == ".csv" else frame.to_parquet(file)
        converter = RowConverter(events, {}, fill=False)
        sent.append([converter.event(row) for row in read_rows("FILE", file)])

    (first, second), parquet = sent
    assert first == parquet[0] == {"x": 1.5, "s": "a", "at": 1_769_817_600_000}
    assert (second["s"], second["at"]) == (parquet[1]["s"], parquet[1]["at"]) == (None, None)
    assert math.isnan(second["x"])
    assert math.isnan(parquet[1]["x"])
