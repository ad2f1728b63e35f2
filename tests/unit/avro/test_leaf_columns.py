"""Decimals and unions of numbers are columns of numbers, by both readers, and inexact ones are refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.avro.decode import Decoded, Decoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.leaf_columns import decimal_numbers
from stream_infer.avro.schemas import Schema, leaves
from tests.unit.avro.world import nested, record, write


def decimal(scale: int, precision: int = 30) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


def decoded(schema: Schema, *values: Any, reader: Schema | None = None) -> Decoded:
    paths = list(leaves(reader or schema))
    return Decoder(Framing.NONE, [schema], paths, reader=reader).decode(write(schema, *values))


@given(st.lists(st.none() | st.binary(max_size=20)), st.integers(0, 30))
@settings(deadline=None)
def test_a_decimal_is_the_nearest_double(values: list[bytes | None], scale: int) -> None:
    column, too_long = decimal_numbers(pa.array(values, pa.binary()), scale)

    unscaled = [None if one is None else int.from_bytes(one, "big", signed=True) for one in values]
    assert column.to_pylist() == [
        None if one is None else float(Fraction(one, 10**scale)) for one in unscaled
    ]
    assert not any(too_long.to_pylist())


def test_a_part_of_a_column_of_decimals_has_its_own_values() -> None:
    column = pa.array([b"\x01", b"\x7f\xff", None, b"\xff", b""], pa.binary())

    assert decimal_numbers(column.slice(1), 0)[0].to_pylist() == [32767.0, None, -1.0, 0.0]


def test_decimals_are_features_in_bytes_and_in_fixed_ones() -> None:
    fixed = {**decimal(2, precision=18), "type": "fixed", "name": "Money", "size": 8}
    schema = record(("a", decimal(2)), ("b", ["null", fixed]), ("c", nested("C", ("d", decimal(0)))))
    values = {"a": Decimal("-12.34"), "b": Decimal("0.07"), "c": {"d": Decimal(7)}}

    read = decoded(schema, values, {**values, "b": None})

    assert [(one.path, one.kind, one.logical) for one in leaves(schema).values()] == [
        ("a", "double", "decimal"),
        ("b", "double", "decimal"),
        ("c.d", "double", "decimal"),
    ]
    assert {path: column.to_pylist() for path, column in read.columns.items()} == {
        "a": [-12.34, -12.34],
        "b": [0.07, None],
        "c.d": [7.0, 7.0],
    }


def test_a_decimal_that_no_float_reaches_is_refused() -> None:
    schema = record(("a", {"type": "bytes", "logicalType": "decimal", "precision": 500}))

    [reject] = decoded(schema, {"a": b"\x01" * 200}).rejected

    assert (reject.error_class, reject.row) == ("out_of_range", 0)


@pytest.mark.parametrize("digits", [{}, {"precision": 0}])
def test_a_decimal_without_valid_digits_is_bytes(digits: dict[str, Any]) -> None:
    assert not leaves(record(("a", {"type": "bytes", "logicalType": "decimal", **digits})))


@pytest.mark.parametrize(
    ("union", "kind", "nullable"),
    [
        (["null", "long", "double"], "double", True),
        (["int", "null", "long"], "long", True),
        (["int", "float"], "double", False),
        (["double"], "double", False),
        (["int"], "int", False),
        (["string"], "string", False),
    ],
)
def test_unions_of_numbers_and_of_one_branch_are_features(
    union: list[str], kind: str, *, nullable: bool
) -> None:
    [leaf] = leaves(record(("a", union))).values()

    assert (leaf.kind, leaf.nullable) == (kind, nullable)


@pytest.mark.parametrize(
    "union", [["string", "long"], ["null", "boolean", "long"], [nested("N"), "int"], ["null"]]
)
def test_other_unions_are_no_features(union: list[Any]) -> None:
    assert not leaves(record(("a", union)))


def test_values_of_every_branch_arrive() -> None:
    schema = record(("a", ["null", "long", "double"]), ("b", [nested("B", ("c", ["string"]))]))
    values = [{"a": one, "b": {"c": "x"}} for one in (1, None, 2.5, -(2**53), float("inf"))]

    read = decoded(schema, *values)

    assert read.columns["a"].to_pylist() == [1.0, None, 2.5, -(2.0**53), float("inf")]
    assert read.columns["b.c"].to_pylist() == ["x"] * 5


def test_a_whole_number_that_no_double_holds_is_refused_where_reals_may_be() -> None:
    values = [{"a": 2**53}, {"a": 2**53 + 1}, {"a": 1}]

    mixed = decoded(record(("a", ["long", "double"])), *values)
    whole = decoded(record(("a", ["int", "long"])), *values)

    assert [(one.row, one.error_class) for one in mixed.rejected] == [(1, "out_of_precision")]
    assert mixed.columns["a"].to_pylist() == [2.0**53, 1.0]
    assert whole.columns["a"].to_pylist() == [2**53, 2**53 + 1, 1]


def test_a_decimal_is_read_by_its_writer_s_scale_and_no_other_type_is_a_decimal() -> None:
    written, read = record(("a", decimal(3))), record(("a", decimal(2)))

    assert decoded(written, {"a": Decimal("1.234")}, reader=read).columns["a"].to_pylist() == [1.234]
    [reject] = decoded(record(("a", "double")), {"a": 1.0}, reader=read).rejected
    assert reject.error_class == "schema_incompatible"


def test_a_default_of_a_decimal_is_its_number() -> None:
    reader = record({"name": "a", "type": decimal(2), "default": "\x00\u00fa"}, ("b", "int"))

    assert decoded(record(("b", "int")), {"b": 1}, reader=reader).columns["a"].to_pylist() == [2.5]


def test_numbers_of_a_writer_are_read_as_a_union_and_the_other_way() -> None:
    plain, union = record(("a", "int")), record(("a", ["null", "long", "double"]))

    assert decoded(plain, {"a": 3}, reader=union).columns["a"].to_pylist() == [3.0]
    assert decoded(union, {"a": 3}, reader=record(("a", ["null", "double"]))).columns["a"].to_pylist() == [
        3.0
    ]
