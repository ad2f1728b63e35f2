"""The frame that is assembled is the user's own frame: dtypes, nulls, order, layout."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from stream_infer.flow.errors import Refused
from stream_infer.models.frame_builder import (
    READ_TEXT,
    MisfitError,
    build_frame,
    describe_input,
    misfits,
    unsupported,
)
from stream_infer.models.manifest import InputColumn, Manifest, ModelInput, Policy
from tests.unit.models.builders import columns, feature, framed, manifest

CSV = """amount,count,age,known,seen,currency,note,empty,at
1.5,1,30,true,true,EUR,,,2026-01-01 10:00:00.123
,2,,false,,USD,late,,2026-01-02 11:30:00.000
-0.0,3,41,true,false,,EUR,,
"""
CSV_KINDS = {
    "amount": "double",
    "count": "int",
    "age": "long",
    "known": "boolean",
    "seen": "boolean",
    "currency": "enum",
    "note": "string",
    "empty": "double",
    "at": "long",
}
CSV_EVENTS: dict[str, list[Any]] = {
    "amount": [1.5, None, -0.0],
    "count": [1, 2, 3],
    "age": [30, None, 41],
    "known": [True, False, True],
    "seen": [True, None, False],
    "currency": ["EUR", "USD", None],
    "note": [None, "late", "EUR"],
    "empty": [None, None, None],
    "at": [1767261600123, 1767353400000, None],
}


def test_a_csv_frame_with_nulls_of_every_kind_is_rebuilt_from_events() -> None:
    own = pd.read_csv(io.StringIO(CSV), parse_dates=["at"])

    described = manifest(**framed(own, CSV_KINDS, {"at": "timestamp-millis"}))
    frame = build_frame(columns(CSV_KINDS, CSV_EVENTS), Manifest.parse(described.canonical()))

    assert_frame_equal(frame, own, check_exact=True)
    assert str(own["currency"].dtype) == READ_TEXT
    assert [column.null for column in described.container.columns] == [
        "nan", None, "nan", None, "nan", "nan", "nan", "nan", "nat",
    ]  # fmt: skip
    assert np.signbit(frame["amount"][2])


def frame_of(values: Any, dtype: Any) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(values, dtype=dtype)})


NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "events", "own", "logical"),
    [
        ("string", ["a", None], frame_of(["a", None], object), None),
        ("string", ["a", None], frame_of(["a", NAN], object), None),
        ("string", ["a", None], frame_of(["a", pd.NA], object), None),
        ("string", ["a", None], frame_of(["a", None], "str"), None),
        ("string", ["a", None], frame_of(["a", None], "string"), None),
        ("enum", ["a", None, "b"], frame_of(["a", None, "b"], "category"), None),
        ("string", ["b", "a"], frame_of(["b", "a"], pd.CategoricalDtype(["b", "a"], ordered=True)), None),
        ("int", [3, None, 1], frame_of([3, None, 1], "category"), None),
        ("boolean", [True, None], frame_of([True, None], object), None),
        ("boolean", [True, None], frame_of([True, NAN], object), None),
        ("boolean", [True, None], frame_of([True, None], "boolean"), None),
        ("boolean", [True, None], frame_of([1.0, NAN], "float64"), None),
        ("boolean", [True, False], frame_of([1, 0], "int64"), None),
        ("boolean", [True, False], frame_of([True, False], "bool"), None),
        ("int", [1, None], frame_of([1, None], "Int64"), None),
        ("long", [2**60 + 1, None], frame_of([2**60 + 1, None], "Int64"), None),
        ("long", [2**60 + 1], frame_of([2**60 + 1], "int64"), None),
        ("long", [2**60 + 1, None], frame_of([2**60 + 1, None], object), None),
        ("long", [2**53, None], frame_of([2.0**53, NAN], "float64"), None),
        ("int", [1, 2], frame_of([1, 2], "int8"), None),
        ("int", [1, 2], frame_of([1, 2], "uint16"), None),
        ("float", [0.1, None], frame_of([0.1, NAN], "float32"), None),
        ("float", [0.1, None], frame_of([np.float32(0.1), NAN], "float64"), None),
        ("double", [0.1, None], frame_of([0.1, None], "Float64"), None),
        ("double", [0.1, None], frame_of([0.1, None], object), None),
        ("double", [1.0, 2.0], frame_of([1.0, 2.0], "float64"), None),
        ("long", [10**12, None], frame_of([10**18, None], "datetime64[ns]"), "timestamp-millis"),
        ("long", [10**12, None], frame_of([10**15, None], "datetime64[us]"), "timestamp-millis"),
        ("long", [10**15, -1], frame_of([10**15, -1], "datetime64[us]"), "timestamp-micros"),
        ("long", [10**15, -1], frame_of([10**18, -1000], "datetime64[ns]"), "local-timestamp-micros"),
        ("long", [5_000_000], frame_of([5], "datetime64[s]"), "timestamp-micros"),
        ("long", [10**12, None], frame_of([10**15, None], "datetime64[us, UTC]"), "timestamp-millis"),
        ("long", [10**12], frame_of([10**15], "datetime64[us, Europe/Berlin]"), "timestamp-millis"),
        ("int", [1, None, -1], frame_of([86400, None, -86400], "datetime64[s]"), "date"),
        ("int", [1500, None], frame_of(np.array([1500, "NaT"], "timedelta64[ms]"), None), "time-millis"),
        ("long", [10**12], frame_of([1e12], "float64"), "timestamp-millis"),
    ],
)  # fmt: skip
def test_a_column_keeps_its_dtype_and_its_null(
    kind: str, events: list[Any], own: pd.DataFrame, logical: str | None
) -> None:
    described = manifest(**framed(own, {"x": kind}, {"x": logical} if logical else None))
    described = Manifest.parse(described.canonical())

    assert unsupported(described) is None
    frame = build_frame(columns({"x": kind}, {"x": events}), described)

    assert_frame_equal(frame, own, check_exact=True)
    for seen, expected in zip(frame["x"].tolist(), own["x"].tolist(), strict=True):
        assert seen is expected or type(seen) is type(expected)


@pytest.mark.parametrize("kinds", [{"x": "double"}, {"x": "double", "s": "string"}])
def test_no_rows_make_an_empty_frame_of_the_same_dtypes(kinds: dict[str, str]) -> None:
    own = pd.DataFrame({"x": [0.5], "s": ["a"]})[list(kinds)]

    frame = build_frame(columns(kinds, {"x": [], "s": []}), manifest(**framed(own, kinds)))

    assert_frame_equal(frame, own.iloc[:0])


def test_a_frame_of_floats_has_the_memory_layout_of_pandas() -> None:
    own = pd.read_csv(io.StringIO("a,b\n1.5,2.5\n3.5,\n"))
    kinds = {"a": "double", "b": "double"}

    frame = build_frame(columns(kinds, {"a": [1.5, 3.5], "b": [2.5, None]}), manifest(**framed(own, kinds)))

    assert_frame_equal(frame, own)
    assert frame.to_numpy().flags.f_contiguous == own.to_numpy().flags.f_contiguous


def test_the_frame_is_writable_for_the_model() -> None:
    kinds = {"a": "double", "b": "boolean", "c": "long"}
    own = pd.DataFrame({"a": [1.0], "b": [True], "c": [1]})

    frame = build_frame(columns(kinds, {"a": [2.0], "b": [False], "c": [7]}), manifest(**framed(own, kinds)))
    frame.loc[0, "a"] = 3.0

    assert all(frame[name].to_numpy().flags.writeable or name for name in kinds)
    assert frame["a"][0] == 3.0


def test_an_array_is_contiguous_float64_in_the_order_of_the_features() -> None:
    kinds = {"b": "boolean", "i": "int", "l": "long", "f": "float", "d": "double"}
    events: dict[str, list[Any]] = {
        "b": [True, None],
        "i": [1, None],
        "l": [2**53, None],
        "f": [0.5, None],
        "d": [NAN, None],
    }
    described = manifest(**framed(np.zeros((2, 5)), kinds))

    matrix = build_frame(columns(kinds, events), described)

    assert isinstance(matrix, np.ndarray)
    assert matrix.flags.c_contiguous
    assert matrix.flags.writeable
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[1.0, 1.0, 2.0**53, 0.5, NAN], [NAN] * 5])


def test_a_slice_is_read_from_its_offset() -> None:
    kinds = {"d": "double", "b": "boolean"}
    events = columns(kinds, {"d": [1.0, 2.0, None, 4.0], "b": [True, False, True, None]})
    part = {path: array.slice(1, 2) for path, array in events.items()}

    matrix = build_frame(part, manifest(**framed(np.zeros((1, 2)), kinds)))

    np.testing.assert_array_equal(matrix, [[2.0, 0.0], [NAN, 1.0]])


@pytest.mark.parametrize(
    ("kind", "dtype", "null", "logical", "events", "rows"),
    [
        ("long", "float64", "nan", None, [2**53, 2**53 + 1, None, -(2**53) - 1], [1, 3]),
        ("long", "Float64", "na", None, [0, 2**54], [1]),
        ("long", "int64", None, None, [2**62, None], [1]),
        ("long", "int32", None, None, [2**31 - 1, 2**31, None], [1, 2]),
        ("int", "uint8", None, None, [-1, 0, 255, 256], [0, 3]),
        ("int", "Int8", "na", None, [127, 128, None], [1]),
        ("boolean", "bool", None, None, [True, None], [1]),
        ("string", "object", None, None, ["a", None], [1]),
        ("long", "datetime64[ns]", "nat", "timestamp-millis", [10**12, 10**15, None, -(10**15)], [1, 3]),
        ("long", "datetime64[us]", "nat", "timestamp-micros", [-(2**63), 0], [0]),
        ("long", "datetime64[s]", "nat", "timestamp-millis", [1000, 1001, None], [1]),
        ("long", "datetime64[s]", "nat", "timestamp-millis", [1000, 1001, -(2**63), None], [1, 2]),
        ("int", "datetime64[ns]", "nat", "date", [0, 2**31 - 1], [1]),
        ("double", "float64", None, None, [1.0, None], [1]),
        ("long", "Int64", "na", None, [2**63 - 1, None, -(2**63)], []),
        ("long", "uint64", None, None, [2**63 - 1, -1], [1]),
        ("long", "float64", "nan", None, [None, None], []),
        ("double", "float64", "nan", None, [None, NAN, 1e300], []),
    ],
)
def test_a_value_that_a_column_cannot_hold_is_reported_and_never_rounded(
    kind: str, dtype: str, null: Any, logical: str | None, events: list[Any], rows: list[int]
) -> None:
    described = manifest(
        container=ModelInput("pandas", (InputColumn("x", dtype, null),)),
        features=(feature("x", kind, logical=logical, missing=Policy.REJECT),),
    )
    given = columns({"x": kind}, {"x": events})

    found = misfits(given, described)

    assert {name: one.tolist() for name, one in found.items()} == ({"x": rows} if rows else {})
    if rows:
        with pytest.raises(MisfitError, match="x"):
            build_frame(given, described)


@pytest.mark.parametrize(
    ("kind", "column", "logical"),
    [
        ("string", InputColumn("x", "float64", "nan"), None),
        ("double", InputColumn("x", "int64"), None),
        ("double", InputColumn("x", "str", "nan"), None),
        ("long", InputColumn("x", "datetime64[ns]", "nat"), None),
        ("long", InputColumn("x", "object", "none"), "timestamp-millis"),
        ("long", InputColumn("x", "datetime64[ns, UTC]", "nat"), "local-timestamp-millis"),
        ("string", InputColumn("x", "datetime64[ns]", "nat"), None),
        ("string", InputColumn("x", "category", "nan"), None),
        ("double", InputColumn("x", "float64", "none"), None),
        ("double", InputColumn("x", "complex128"), None),
        ("double", InputColumn("x", "period[D]", "nat"), None),
    ],
)
def test_a_column_that_cannot_be_filled_is_reported_before_any_event(
    kind: str, column: InputColumn, logical: str | None
) -> None:
    described = manifest(
        container=ModelInput("pandas", (column,)), features=(feature("x", kind, logical=logical),)
    )

    assert "'x'" in (unsupported(described) or "")


def test_an_array_holds_no_strings() -> None:
    described = manifest(features=(feature("x", "string"),))

    assert unsupported(described) is not None


def test_whole_numbers_of_a_float_field_are_a_column_of_floats() -> None:
    own = pd.DataFrame({"x": [0, 1]})

    assert describe_input(own, {"x": "double"}).columns == (InputColumn("x", "float64", "nan"),)
    assert describe_input(own, {"x": "long"}).columns == (InputColumn("x", "int64"),)


def test_an_empty_text_column_stays_a_text_column() -> None:
    own = pd.read_csv(io.StringIO("x,y\n,1\n,2\n"))

    assert own["x"].dtype == "float64"
    assert describe_input(own, {"x": "string", "y": "int"}).columns[0] == InputColumn("x", READ_TEXT, "nan")


@pytest.mark.parametrize(
    ("own", "kinds"),
    [
        (pd.DataFrame({"x": [1.0]}), {"y": "double"}),
        (pd.DataFrame({"x": pd.Series(["a", None, NAN], dtype=object)}), {"x": "string"}),
        (pd.DataFrame({"x": [1j]}), {"x": "double"}),
        (np.zeros(3), {"x": "double"}),
        (np.zeros((3, 2)), {"x": "double"}),
        (np.array([["a"]]), {"x": "string"}),
    ],
)
def test_an_unsupported_frame_is_refused(own: Any, kinds: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        describe_input(own, kinds)

    assert refused.value.code == "container"


def test_a_missing_event_column_is_an_error() -> None:
    with pytest.raises(KeyError):
        build_frame({"event.other": pa.array([1.0])}, manifest())
