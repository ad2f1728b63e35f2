from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest

from stream_infer.avro import fast_reader
from stream_infer.avro.decode import Decoder
from stream_infer.avro.framing import Framing, head
from stream_infer.avro.schemas import Schema, leaves
from stream_infer.flow.records import Rejected, Stage
from tests.unit.avro.world import nested, record, write

EVENT = record(
    ("id", "string"),
    ("n", ["null", "long"]),
    (
        "card",
        [
            "null",
            nested(
                "Card", ("limit", "double"), ("color", {"type": "enum", "name": "C", "symbols": ["A", "B"]})
            ),
        ],
    ),
    ("blob", "bytes"),
)
ROW = {"id": "é", "n": 7, "card": {"limit": 1.5, "color": "B"}, "blob": b"\xff\xfe"}
FEW = {"id": "", "n": None, "card": None, "blob": b""}
GOOD, SPARSE = write(EVENT, ROW, FEW)


def classes(rejected: Sequence[Rejected]) -> dict[int, str]:
    assert all(item.stage is Stage.DECODE for item in rejected)
    return {item.row: item.error_class for item in rejected}


def decoder(schema: Schema = EVENT, *paths: str) -> Decoder:
    return Decoder(Framing.NONE, [schema], paths or list(leaves(schema)))


def single(*writers: Schema, reader: Schema | None = None) -> Decoder:
    return Decoder(Framing.SINGLE_OBJECT, writers, list(leaves(reader or writers[0])), reader=reader)


def framed(schema: Schema, *values: object) -> list[bytes]:
    return [head(Framing.SINGLE_OBJECT, schema) + datum for datum in write(schema, *values)]


def test_columns_hold_the_leaves_and_a_null_record_makes_its_leaves_null() -> None:
    decoded = decoder().decode([GOOD, SPARSE])

    assert {path: column.to_pylist() for path, column in decoded.columns.items()} == {
        "id": ["é", ""],
        "n": [7, None],
        "card.limit": [1.5, None],
        "card.color": ["B", None],
    }
    assert [column.type for column in decoded.columns.values()] == [
        pa.string(),
        pa.int64(),
        pa.float64(),
        pa.string(),
    ]
    assert list(decoded.rows) == [0, 1]
    assert not decoded.rejected


def test_only_the_given_paths_are_columns() -> None:
    assert list(decoder(EVENT, "card.limit", "n").decode([GOOD]).columns) == ["card.limit", "n"]


def test_no_values_are_columns_without_rows() -> None:
    decoded = decoder().decode([])

    assert [len(column) for column in decoded.columns.values()] == [0, 0, 0, 0]
    assert decoded.columns["n"].type == pa.int64()


POISON = {
    "null_value": None,
    "empty": b"",
    "truncated": GOOD[:-1],
    "trailing_bytes": GOOD + b"\x00",
    "invalid_utf8": GOOD.replace("é".encode(), b"\xff\xff"),
    "invalid": GOOD[:3] + b"\x01" + GOOD[4:],  # the union of n at index -1
}


@pytest.mark.parametrize("name", POISON)
def test_a_bad_value_is_named_and_its_neighbours_are_read(name: str) -> None:
    decoded = decoder().decode([GOOD, POISON[name], SPARSE])

    assert classes(decoded.rejected) == {1: name}
    assert list(decoded.rows) == [0, 2]
    assert decoded.columns["n"].to_pylist() == [7, None]


def test_bad_values_all_over_a_large_batch_are_found() -> None:
    values = [GOOD, SPARSE] * 1000
    bad = {row: name for at, name in enumerate(POISON) for row in range(at * 3, 2000, 97)}

    decoded = decoder().decode(
        [POISON[bad[row]] if row in bad else value for row, value in enumerate(values)]
    )

    assert classes(decoded.rejected) == bad
    assert list(decoded.rows) == [row for row in range(2000) if row not in bad]
    assert decoded.columns["n"].to_pylist() == [None if row % 2 else 7 for row in decoded.rows]


def test_a_batch_of_nothing_but_bad_values_has_no_rows() -> None:
    decoded = decoder().decode([GOOD[:-1]] * 300)

    assert len(decoded.rejected) == 300
    assert list(decoded.rows) == []
    assert len(decoded.columns["n"]) == 0


def test_an_int_beyond_32_bits_is_invalid() -> None:
    wide, narrow = record(("a", "long")), record(("a", "int"))

    decoded = decoder(narrow).decode(write(wide, {"a": 2**31 - 1}, {"a": 2**31}, {"a": -(2**31)}))

    assert classes(decoded.rejected) == {1: "invalid"}
    assert decoded.columns["a"].to_pylist() == [2**31 - 1, -(2**31)]
    assert decoded.columns["a"].type == pa.int32()


def test_logical_types_are_raw_numbers() -> None:
    schema = record(
        ("at", {"type": "long", "logicalType": "timestamp-nanos"}),
        ("day", {"type": "int", "logicalType": "date"}),
        ("key", {"type": "string", "logicalType": "uuid"}),
        ("price", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}),
    )
    plain = record(("at", "long"), ("day", "int"), ("key", "string"), ("price", "bytes"))

    decoded = decoder(schema).decode(
        write(plain, {"at": 10**18, "day": -3, "key": "no uuid", "price": b"\x01"})
    )

    assert {path: column[0].as_py() for path, column in decoded.columns.items()} == {
        "at": 10**18,
        "day": -3,
        "key": "no uuid",
        "price": 0.01,
    }


def test_types_that_pyruhvro_lacks_are_read_too() -> None:
    schema = record(("md5", {"type": "fixed", "name": "Md5", "size": 17}), ("a", "int"))

    decoded = decoder(schema).decode([*write(schema, {"md5": b"x" * 17, "a": 3}), b"short"])

    assert decoded.columns["a"].to_pylist() == [3]
    assert classes(decoded.rejected) == {1: "truncated"}


def test_bytes_beside_other_branches_of_a_union_are_read() -> None:
    schema = record(("many", {"type": "array", "items": ["null", "boolean", "bytes"]}), ("a", "int"))

    decoded = decoder(schema).decode(write(schema, {"many": [b"\xff", None, True], "a": 3}))

    assert decoded.columns["a"].to_pylist() == [3]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (["null", "long", "double"], [1, 2.5, None]),
        (["int"], [1, 2]),
        (["double"], [1.0, 2.0]),
    ],
    ids=lambda given: repr(given).replace("'", ""),
)
def test_a_union_in_records_that_may_be_null_is_read(kind: object, values: list[object]) -> None:
    inner = nested("Inner", ("x", kind))
    middle = nested("Middle", ("inner", ["null", inner]))
    schema = record(("outer", ["null", middle]), ("near", ["null", nested("Near", ("x", kind))]))
    rows = [
        {"outer": None, "near": None},
        {"outer": {"inner": None}, "near": None},
        *({"outer": {"inner": {"x": value}}, "near": {"x": value}} for value in values),
    ]

    decoded = decoder(schema).decode(write(schema, *rows))

    assert decoded.columns["outer.inner.x"].to_pylist() == [None, None, *values]
    assert decoded.columns["near.x"].to_pylist() == [None, None, *values]


def test_an_array_that_would_blow_up_in_columns_is_read_row_by_row() -> None:
    wide = nested("Wide", *((f"w{number}", "double") for number in range(500)))
    schema = record(("many", {"type": "array", "items": ["null", wide]}), ("a", "int"))

    decoded = decoder(schema).decode(write(schema, {"many": [None] * 100_000, "a": 3}))

    assert decoded.columns["a"].to_pylist() == [3]
    assert fast_reader.fast_reader(schema.root) is None


def test_a_record_without_bytes_may_be_empty() -> None:
    schema = record(("nothing", "null"))

    decoded = decoder(schema).decode([b"", b"\x00", None])

    assert list(decoded.rows) == [0]
    assert classes(decoded.rejected) == {1: "trailing_bytes", 2: "null_value"}


def test_a_path_that_is_no_leaf_is_refused_with_what_it_is() -> None:
    with pytest.raises(ValueError, match=r"blob of test\.Event cannot be a feature: it is bytes"):
        decoder(EVENT, "blob")
    with pytest.raises(ValueError, match="not a field"):
        decoder(EVENT, "nonesuch")


def test_single_object_values_name_their_writer() -> None:
    unknown = record(("a", "int"))
    values = [
        *framed(EVENT, ROW),
        b"",
        None,
        b"\xc3\x02" + GOOD,
        b"\xc3\x01",
        *framed(unknown, {"a": 1}),
        GOOD,
    ]

    decoded = single(EVENT).decode(values)

    assert list(decoded.rows) == [0]
    assert classes(decoded.rejected) == {
        1: "empty",
        2: "null_value",
        3: "bad_magic",
        4: "bad_magic",
        5: "unknown_schema",
        6: "bad_magic",
    }
    assert unknown.fingerprint.hex() in decoded.rejected[4].message


def test_a_head_without_a_datum_is_truncated() -> None:
    assert classes(single(EVENT).decode([head(Framing.SINGLE_OBJECT, EVENT)]).rejected) == {0: "truncated"}


def test_rows_of_several_writers_come_in_the_order_of_the_input() -> None:
    old = record(("n", "int"))
    new = record(("n", "long"), {"name": "extra", "type": "string", "default": "none"})
    a, b, c = framed(old, {"n": 1}, {"n": 2}, {"n": 3})
    d, e = framed(new, {"n": 10, "extra": "x"}, {"n": 20, "extra": "y"})

    decoded = single(old, new, reader=new).decode([a, d, b + b"!", e, c])

    assert decoded.columns["n"].to_pylist() == [1, 10, 20, 3]
    assert decoded.columns["extra"].to_pylist() == ["none", "x", "y", "none"]
    assert list(decoded.rows) == [0, 1, 3, 4]
    assert classes(decoded.rejected) == {2: "trailing_bytes"}
