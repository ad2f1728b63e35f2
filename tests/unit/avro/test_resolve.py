from __future__ import annotations

from typing import Any

import pytest

from stream_infer.avro.decode import Decoded, Decoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, leaves
from tests.unit.avro.world import nested, record, write


def resolved(writer: Schema, reader: Schema, *values: Any) -> Decoded:
    return Decoder(Framing.NONE, [writer], list(leaves(reader)), reader=reader).decode(write(writer, *values))


def color(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "Color", "symbols": list(symbols), **more}


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("int", "long", 7, 7),
        ("int", "float", 7, 7.0),
        ("int", "double", -7, -7.0),
        ("long", "float", 2**60, 2.0**60),
        ("long", "double", 7, 7.0),
        ("float", "double", 0.5, 0.5),
        ("int", ["null", "double"], 7, 7.0),
        (["null", "int"], ["long", "null"], None, None),
        ("null", ["null", "int"], None, None),
    ],
)
def test_numbers_are_promoted(source: Any, target: Any, value: Any, expected: Any) -> None:
    decoded = resolved(record(("a", source)), reader := record(("a", target)), {"a": value})

    assert decoded.columns["a"].to_pylist() == [expected]
    assert decoded.columns["a"].type == resolved(reader, reader).columns["a"].type


@pytest.mark.parametrize(
    ("source", "target", "value"),
    [
        ("long", "int", 7),
        ("double", "float", 1.0),
        ("string", "int", "7"),
        ("int", "string", 7),
        ("bytes", "string", b"7"),
        (["int", "string"], "int", 7),
        ("int", color("RED"), 0),
        (color("RED"), {**color("RED"), "name": "Paint"}, "RED"),
        ({"type": "array", "items": "int"}, "int", []),
        (nested("Inner", ("a", "int")), "int", {"a": 1}),
    ],
)
def test_types_that_avro_does_not_promote_are_incompatible(source: Any, target: Any, value: Any) -> None:
    decoded = resolved(record(("a", source)), record(("a", target)), {"a": value}, {"a": value})

    assert [(item.row, item.error_class) for item in decoded.rejected] == [
        (0, "schema_incompatible"),
        (1, "schema_incompatible"),
    ]
    assert len(decoded.columns["a"]) == 0


def test_a_field_that_the_writer_lacks_is_the_readers_default() -> None:
    inner = nested("Inner", ("x", "int"), {"name": "y", "type": "string", "default": "deep"})
    reader = record(
        ("a", "int"),
        {"name": "b", "type": ["null", "double"], "default": None},
        {"name": "c", "type": inner, "default": {"x": 5}},
        {"name": "d", "type": ["null", "Inner"], "default": None},
    )

    decoded = resolved(record(("a", "int")), reader, {"a": 1}, {"a": 2})

    assert {path: column.to_pylist() for path, column in decoded.columns.items()} == {
        "a": [1, 2],
        "b": [None, None],
        "c.x": [5, 5],
        "c.y": ["deep", "deep"],
        "d.x": [None, None],
        "d.y": [None, None],
    }


def test_a_field_that_the_writer_lacks_without_a_default_rejects_its_rows() -> None:
    decoded = resolved(record(("a", "int")), record(("a", "int"), ("b", "int")), {"a": 1})

    assert [item.error_class for item in decoded.rejected] == ["schema_incompatible"]
    assert "b: the writer does not have it" in decoded.rejected[0].message


def test_renamed_fields_and_records_are_found_by_the_readers_aliases() -> None:
    writer = record(("old", nested("Was", ("x", "int"))), name="then.Past")
    reader = record(
        {
            "name": "new",
            "type": nested("Is", {"name": "z", "type": "long", "aliases": ["x"]}, aliases=["Was"]),
            "aliases": ["old"],
        },
        aliases=["then.Past"],
    )

    assert resolved(writer, reader, {"old": {"x": 9}}).columns["new.z"].to_pylist() == [9]


def test_a_record_of_another_name_is_incompatible() -> None:
    decoded = resolved(record(("a", "int"), name="Other"), record(("a", "int")), {"a": 1})

    assert [item.error_class for item in decoded.rejected] == ["schema_incompatible"]


def test_a_namespace_does_not_matter() -> None:
    decoded = resolved(record(("a", "int"), name="else.Event"), record(("a", "int")), {"a": 1})

    assert decoded.columns["a"].to_pylist() == [1]


def test_reordered_and_removed_fields_do_not_matter() -> None:
    writer = record(("gone", "string"), ("b", "int"), ("a", "int"))

    decoded = resolved(writer, record(("a", "int"), ("b", "int")), {"gone": "x", "b": 2, "a": 1})

    assert {path: column.to_pylist() for path, column in decoded.columns.items()} == {"a": [1], "b": [2]}


def test_a_null_that_the_reader_does_not_know_rejects_its_row() -> None:
    writer = record(("a", ["null", "int"]))

    decoded = resolved(writer, record(("a", "int")), {"a": 1}, {"a": None}, {"a": 3})

    assert decoded.columns["a"].to_pylist() == [1, 3]
    assert [(item.row, item.error_class) for item in decoded.rejected] == [(1, "schema_incompatible")]


def test_a_null_record_rejects_its_row_where_the_reader_wants_one() -> None:
    inner = nested("Inner", ("x", "int"))

    decoded = resolved(record(("a", ["null", inner])), record(("a", inner)), {"a": None}, {"a": {"x": 4}})

    assert decoded.columns["a.x"].to_pylist() == [4]
    assert list(decoded.rows) == [1]


def test_a_symbol_that_the_reader_does_not_know_is_its_default_or_a_reject() -> None:
    writer = record(("a", color("RED", "BLUE")))
    values = [{"a": "RED"}, {"a": "BLUE"}]

    with_default = resolved(writer, record(("a", color("RED", "OTHER", default="OTHER"))), *values)
    without = resolved(writer, record(("a", color("RED"))), *values)

    assert with_default.columns["a"].to_pylist() == ["RED", "OTHER"]
    assert without.columns["a"].to_pylist() == ["RED"]
    assert [(item.row, item.error_class) for item in without.rejected] == [(1, "schema_incompatible")]
