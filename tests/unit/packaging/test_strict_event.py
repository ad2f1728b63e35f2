"""An event that a writer would guess, cut or ignore something of is refused, with every field of it."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import fastavro
import numpy as np
import pandas as pd
import pytest

from stream_infer.avro.schemas import Schema, parse_schema
from stream_infer.packaging.datum import encode_datum
from stream_infer.packaging.strict_event import strict_event

UTC = dt.UTC
NOON = dt.datetime(2026, 7, 1, 12, tzinfo=UTC)


def schema_of(*fields: tuple[str, Any]) -> Schema:
    listed = [{"name": name, "type": kind} for name, kind in fields]
    return parse_schema(json.dumps({"type": "record", "name": "Trip", "fields": listed}))


def logical(kind: str, name: str, **more: object) -> dict[str, object]:
    return {"type": kind, "logicalType": name, **more}


def written(kind: Any, value: object) -> Any:
    """Return `value` as a reader gets it back, without logical types."""
    schema = schema_of(("x", kind))
    datum = io.BytesIO(encode_datum(schema, strict_event(schema, {"x": value})))
    read: Any = fastavro.schemaless_reader(datum, schema.parsed, None)
    return read["x"]


def problem(kind: Any, value: object) -> str:
    with pytest.raises(ValueError, match="does not fit the schema Trip: ") as caught:
        strict_event(schema_of(("x", kind)), {"x": value})
    return str(caught.value).partition("Trip: ")[2]


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("long", 3, 3),
        ("long", 3.0, 3),
        ("long", np.int32(3), 3),
        ("double", 3, 3.0),
        ("double", np.float32(0.5), 0.5),
        ("float", float("inf"), float("inf")),
        ("boolean", np.bool_(True), True),
        (["null", "boolean"], np.bool_(True), True),
        (["null", "long"], None, None),
        (["long", "double"], 3.0, 3.0),
        (["double", "long"], 3, 3),
        (["double"], 3, 3.0),
        ("string", np.str_("a"), "a"),
        ("bytes", b"a", b"a"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B"),
        ({"type": "array", "items": "long"}, np.array([1, 2]), [1, 2]),
        ({"type": "map", "values": "long"}, {"a": 1}, {"a": 1}),
        (logical("long", "timestamp-millis"), NOON, NOON),
        (logical("long", "timestamp-micros"), pd.Timestamp(NOON), NOON),
        (logical("long", "timestamp-millis"), 1_000, dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        (logical("long", "local-timestamp-millis"), NOON.replace(tzinfo=None), NOON.replace(tzinfo=None)),
        (logical("int", "date"), dt.date(2026, 7, 1), dt.date(2026, 7, 1)),
        (logical("int", "time-millis"), dt.time(12), dt.time(12)),
        (logical("bytes", "decimal", precision=4, scale=2), Decimal("1.50"), Decimal("1.50")),
        (logical("string", "uuid"), UUID(int=1), UUID(int=1)),
    ],
)
def test_a_value_of_the_field_s_type_arrives_as_it_is(kind: Any, value: object, read: object) -> None:
    assert written(kind, value) == read


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("long", 1.5, "1.5 is not a whole number (long)"),
        ("int", float("nan"), "nan is not a whole number (int)"),
        ("long", True, "True is not a whole number (long)"),
        ("long", "3", "'3' is not a whole number (long)"),
        ("int", 2**31, "2147483648 is out of the range of int"),
        ("double", "1.5", "'1.5' is not a number (double)"),
        ("double", False, "False is not a number (double)"),
        ("double", 2**53 + 1, "9007199254740993 is beyond 2^53, where a double is not exact"),
        ("float", 1e39, "1e+39 is out of the range of float"),
        ("boolean", 1, "1 is int, not boolean"),
        ("string", 1, "1 is int, not string"),
        ("string", None, "null, and string has none"),
        (["null", "string"], float("nan"), "nan is float, not string"),
        (["null", "long", "double"], "a", "'a' is none of long, double"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "C", "'C' is not one of A, B"),
        ({"type": "fixed", "name": "F", "size": 2}, b"a", "b'a' is not 2 bytes"),
        ({"type": "array", "items": "long"}, "ab", "'ab' is not an array"),
        (
            logical("long", "timestamp-millis"),
            NOON.replace(tzinfo=None),
            "2026-07-01T12:00:00 has no time zone; give one, such as tzinfo=datetime.UTC",
        ),
        (
            logical("long", "local-timestamp-millis"),
            NOON,
            "2026-07-01T12:00:00+00:00 has a time zone, and local-timestamp-millis none",
        ),
        (
            logical("long", "timestamp-millis"),
            np.datetime64("2026-07-01"),
            "np.datetime64('2026-07-01') is not a whole number (long (timestamp-millis))",
        ),
        (logical("long", "timestamp-millis"), pd.NaT, "NaT is no instant; a missing one is None"),
        (
            logical("int", "date"),
            NOON,
            "2026-07-01 12:00:00+00:00 is a datetime, and its time would be cut; give its date()",
        ),
        (
            logical("bytes", "decimal", precision=4, scale=2),
            1.5,
            "1.5 is float, not a decimal; give Decimal('1.5')",
        ),
        (
            logical("int", "time-millis"),
            dt.time(12, tzinfo=UTC),
            "12:00:00+00:00 has a time zone, and time-millis none",
        ),
    ],
)
def test_a_value_that_a_writer_would_change_is_refused(kind: Any, value: object, reason: str) -> None:
    assert problem(kind, value) == f"field 'x': {reason}"


DRIVER = {"type": "record", "name": "Driver", "fields": [{"name": "age", "type": "int"}]}


def test_every_problem_of_an_event_is_told_with_its_path() -> None:
    schema = schema_of(("distance", ["null", "double"]), ("driver", DRIVER), ("stops", "int"))

    with pytest.raises(ValueError, match="Trip") as caught:
        strict_event(schema, {"Distanze": 1.0, "driver": {"age": 1.5, "zzz": 0}})

    assert str(caught.value) == (
        "the event does not fit the schema Trip: "
        "key 'Distanze' is no field of Trip; did you mean 'distance'?; "
        "key 'driver.zzz' is no field of Driver, which has age; "
        "field 'driver.age': 1.5 is not a whole number (int); field 'stops' (int) is missing"
    )


def test_a_field_that_may_be_null_may_be_left_out() -> None:
    assert strict_event(schema_of(("a", ["null", "long"]), ("b", "long")), {"b": 1}) == {"b": 1}


@pytest.mark.parametrize("event", ["distance", None, [1]])
def test_an_event_is_a_dict(event: object) -> None:
    with pytest.raises(ValueError, match=r"not a dict; a frame has them in frame\.to_dict"):
        strict_event(schema_of(("a", "long")), event)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (logical("long", "timestamp-millis"), "2026-07-01T12:00:00Z", NOON),
        (
            logical("long", "timestamp-micros"),
            "2026-07-01T14:00:00.25+02:00",
            NOON.replace(microsecond=250_000),
        ),
        (logical("long", "local-timestamp-millis"), "2026-07-01T12:00:00", NOON.replace(tzinfo=None)),
        (logical("int", "date"), "2026-07-01", NOON.date()),
        (logical("int", "time-millis"), "12:00:00", dt.time(12)),
        (logical("bytes", "decimal", precision=6, scale=2), "12.50", Decimal("12.50")),
    ],
)
def test_a_text_of_json_is_the_time_or_decimal_that_it_says(kind: Any, text: str, value: object) -> None:
    assert written(kind, text) == written(kind, value)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        (logical("long", "timestamp-millis"), "noon", "is no time of ISO 8601"),
        (logical("long", "timestamp-millis"), "2026-07-01T12:00:00", "has no time zone"),
        (logical("long", "timestamp-nanos"), "2026-07-01T12:00:00.1234567Z", "digits beyond microseconds"),
        (logical("long", "local-timestamp-millis"), "2026-07-01T12:00:00Z", "has a time zone"),
        (logical("int", "date"), "2026-07-01T12:00:00", "is no date"),
        (logical("int", "time-millis"), "25:00", "is no time"),
        (logical("bytes", "decimal", precision=6, scale=2), "much", "is no decimal"),
    ],
)
def test_a_text_that_says_no_such_value_is_refused(kind: Any, text: str, says: str) -> None:
    assert says in problem(kind, text)
