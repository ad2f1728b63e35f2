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


def test_text_columns_of_timestamp_fields_are_dates_and_others_are_not() -> None:
    of = schema(
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "since", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "name", "type": "string"},
    )
    bound = [Bound(name, leaf) for name, leaf in leaves(of).items()]
    frame = pd.DataFrame({"at": ["2024-01-01", None], "since": [1, 2], "name": ["2024-01-01", "x"]})

    dates = event_builder.text_instants(bound, frame)
    parsed = event_builder.with_dates("--golden", frame, dates)

    assert dates == ["at"]
    assert [parsed[name].dtype.kind for name in frame] == ["M", "i", frame["name"].dtype.kind]
    with pytest.raises(Misconfigured, match="pandas cannot read it as one"):
        event_builder.with_dates("--golden", frame, ["name"])
