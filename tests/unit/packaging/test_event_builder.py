"""Events built from the rows of a frame, in the encoding of the topic."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.avro.schemas import Schema, leaves, parse_schema
from stream_infer.flow.errors import Misconfigured
from stream_infer.packaging import event_builder
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.datum import encode_datum


def schema(*fields: dict[str, Any]) -> Schema:
    return parse_schema(json.dumps({"type": "record", "name": "E", "fields": list(fields)}))


def built(frame: pd.DataFrame, of: Schema) -> list[event_builder.Event]:
    """Return events of a frame whose columns are paths of leaves."""
    return event_builder.build_events(frame, [Bound(name, leaves(of)[name]) for name in frame.columns], of)


EVERY_TYPE = schema(
    {"name": "flag", "type": "boolean"},
    {"name": "count", "type": "int"},
    {"name": "total", "type": "long", "default": 7},
    {"name": "ratio", "type": "float"},
    {"name": "rate", "type": "double"},
    {"name": "text", "type": "string"},
    {"name": "data", "type": "bytes", "default": "\u00ff"},
    {"name": "raw", "type": {"type": "fixed", "name": "Raw", "size": 3}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    {"name": "list", "type": {"type": "array", "items": "int"}},
    {"name": "dict", "type": {"type": "map", "values": "Kind"}},
    {"name": "maybe", "type": ["int", "null"]},
    {"name": "either", "type": ["string", "int"]},
    {"name": "inner", "type": {"type": "record", "name": "I", "fields": [{"name": "k", "type": "Kind"}]}},
)


def test_fields_that_are_not_in_the_frame_take_default_or_null_or_zero() -> None:
    [event] = built(pd.DataFrame({"rate": [1.5]}), EVERY_TYPE)

    assert event == {
        "flag": False, "count": 0, "total": 7, "ratio": 0.0, "rate": 1.5, "text": "", "data": b"\xff",
        "raw": b"\0\0\0", "kind": "A", "list": [], "dict": {}, "maybe": None, "either": "",
        "inner": {"k": "A"},
    }  # fmt: skip
    assert encode_datum(EVERY_TYPE, event)


def test_a_default_belongs_to_each_event_alone() -> None:
    first, second = built(pd.DataFrame({"rate": [1.5, 2.5]}), EVERY_TYPE)

    first["list"].append(1)

    assert second["list"] == []


NESTED = schema(
    {
        "name": "user",
        "type": ["null", {"type": "record", "name": "U", "fields": [
            {"name": "age", "type": ["null", "int"]},
            {"name": "city", "type": "string"},
        ]}],
    }
)  # fmt: skip


def test_a_nested_record_is_null_when_all_its_columns_are_null() -> None:
    sent = built(pd.DataFrame({"user.age": [30.0, None]}), NESTED)

    assert sent == [{"user": {"age": 30, "city": ""}}, {"user": None}]


@pytest.mark.parametrize(
    ("logical", "kind", "expected"),
    [
        ("timestamp-millis", "long", 86_400_001),
        ("timestamp-micros", "long", 86_400_001_000),
        ("local-timestamp-millis", "long", 86_400_001),
        ("date", "int", 1),
    ],
)
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_a_datetime_becomes_the_raw_number_of_its_field(
    logical: str, kind: str, expected: int, zone: str | None
) -> None:
    of = schema({"name": "at", "type": ["null", {"type": kind, "logicalType": logical}]})
    at = pd.to_datetime(pd.Series(["1970-01-02T00:00:00.001Z", None]))
    column = at.dt.tz_localize(None) if zone is None else at.dt.tz_convert(zone)

    assert built(pd.DataFrame({"at": column}), of) == [{"at": expected}, {"at": None}]


def test_integers_in_a_timestamp_field_are_sent_unchanged() -> None:
    of = schema({"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}})

    assert built(pd.DataFrame({"at": [5]}), of) == [{"at": 5}]


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("int", [2**31]),
        ("long", [1.5]),
        ("long", [float("inf")]),
        ("string", [1]),
        ("boolean", ["true"]),
        ("double", ["x"]),
        ("long", [[1]]),
    ],
)
def test_a_value_that_a_field_cannot_carry_is_reported(kind: str, column: list[Any]) -> None:
    with pytest.raises(Misconfigured, match="does not fit field 'x'"):
        built(pd.DataFrame({"x": column}), schema({"name": "x", "type": kind}))


ROWS = st.fixed_dictionaries(
    {
        "n": st.one_of(st.none(), st.integers(-(2**53), 2**53)),
        "x": st.one_of(st.none(), st.floats(allow_nan=False)),
        "s": st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))),
        "b": st.booleans(),
    }
)
ROW = schema(
    {"name": "n", "type": ["null", "long"]},
    {"name": "x", "type": ["null", "double"]},
    {"name": "s", "type": ["null", "string"]},
    {"name": "b", "type": "boolean"},
)


@settings(max_examples=50)
@given(st.lists(ROWS, min_size=1, max_size=5))
def test_rows_survive_a_round_trip_through_bytes(rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(rows, columns=["n", "x", "s", "b"])

    sent = [encode_datum(ROW, event) for event in built(frame, ROW)]

    assert [fastavro.schemaless_reader(io.BytesIO(one), dict(ROW.parsed), None) for one in sent] == rows


def money(scale: int, precision: int = 12) -> dict[str, Any]:
    kind = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return {"name": "a", "type": ["null", kind]}


def test_numbers_become_decimals_of_the_field_s_scale() -> None:
    frame = pd.DataFrame({"a": [12.34, 0.1 + 0.2, -5, None]})

    events = built(frame, schema(money(2)))

    assert [None if e["a"] is None else str(e["a"]) for e in events] == ["12.34", "0.30", "-5.00", None]


@pytest.mark.parametrize("value", [float("inf"), 12345678901.0, "x"])
def test_a_value_that_is_no_decimal_of_the_field_is_a_problem(value: object) -> None:
    with pytest.raises(Misconfigured) as caught:
        built(pd.DataFrame({"a": [value]}), schema(money(2)))

    assert "a value is no decimal of 12 digits, 2 of them after the point" in caught.value.problems[0].message


def test_an_empty_cell_is_no_decimal_that_cannot_be_null() -> None:
    required = {**money(2), "type": money(2)["type"][1]}

    with pytest.raises(Misconfigured, match="empty value"):
        built(pd.DataFrame({"a": [None, 1.0]}), schema(required))


@pytest.mark.parametrize(
    ("digits", "values", "notes"),
    [
        ((2, 12), [1.25], []),
        ((2, 12), [1.256], ["field 'a' is a decimal of scale 2 and rounds column 'a'"]),
        ((2, 38), [1.25], ["field 'a' is a decimal of 38 digits: the model gets the nearest float"]),
    ],
)
def test_what_a_decimal_loses_is_told(digits: tuple[int, int], values: list[float], notes: list[str]) -> None:
    bound = [Bound("a", leaves(schema(money(*digits)))["a"])]

    told = event_builder.rounded(bound, pd.DataFrame({"a": values}))

    assert [note[: len(start)] for note, start in zip(told, notes, strict=True)] == notes


def test_durations_are_the_integers_of_the_field() -> None:
    column = pd.Series([pd.Timedelta("00:00:01.5"), None])
    micros = {"name": "a", "type": ["null", {"type": "long", "logicalType": "time-micros"}]}
    millis = {"name": "a", "type": ["null", {"type": "int", "logicalType": "time-millis"}]}

    assert [event["a"] for event in built(pd.DataFrame({"a": column}), schema(micros))] == [1_500_000, None]
    assert [event["a"] for event in built(pd.DataFrame({"a": column}), schema(millis))] == [1_500, None]


def test_durations_in_a_plain_number_have_no_unit() -> None:
    with pytest.raises(Misconfigured, match="no time-millis or time-micros"):
        built(pd.DataFrame({"a": [pd.Timedelta(1)]}), schema({"name": "a", "type": "long"}))
