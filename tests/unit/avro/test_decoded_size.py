"""A small message can hold a huge array: what it becomes is bounded before it is there."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from stream_infer.avro.decode import Decoder
from stream_infer.avro.decoded_size import arrow_bound
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, leaves
from stream_infer.avro.writer_decoder import RECORD_BYTES, writer_decoder
from tests.unit.avro.test_decode import classes
from tests.unit.avro.world import nested, record, write

READING = nested("Reading", *((f"r{number}", ["null", "double"]) for number in range(20)))
SENSOR = record(("id", "long"), ("readings", {"type": "array", "items": ["null", READING]}))
BYTES_PER_NULL = 181


def sensor(nulls: int, number: int = 7) -> bytes:
    """An event whose array has so many nulls, a byte each."""
    [head] = write(record(("id", "long"), ("count", "long")), {"id": number, "count": nulls})
    return head + bytes(nulls) + b"\0" if nulls else head


def decoder(schema: Schema = SENSOR) -> Decoder:
    return Decoder(Framing.NONE, [schema], list(leaves(schema)))


@pytest.mark.parametrize(
    ("kind", "row", "per_byte"),
    [
        ("double", 10, 1.0),
        ({"type": "array", "items": "long"}, 6, 10.0),
        ({"type": "array", "items": "double"}, 6, 1.0 + 9 / 8),
        ({"type": "map", "values": "double"}, 6, 1.0 + (1 + 4 + 9) / 9),
        ({"type": "array", "items": ["null", READING]}, 6, 1.0 + BYTES_PER_NULL),
        ({"type": "array", "items": {"type": "array", "items": "boolean"}}, 6, 1.0 + 5),
        (["null", READING], 182, 1.0),
        (["string", "double", READING], 1 + 1 + (1 + 5) + (1 + 9) + (1 + BYTES_PER_NULL), 1.0),
    ],
)
def test_the_bound_is_slots_of_a_row_and_slots_of_the_items_that_fit_into_a_byte(
    kind: Any, row: int, per_byte: float
) -> None:
    bound = arrow_bound(record(("a", kind)).root)

    assert (bound.row, bound.per_byte) == (row, pytest.approx(per_byte))


def test_a_batch_is_decoded_in_pieces_that_fit() -> None:
    sizes = [0, 10, 500_000, 3, 400_000, 250_000, 0, 100_000]

    decoded = decoder().decode([sensor(nulls, number) for number, nulls in enumerate(sizes)])

    assert decoded.columns["id"].to_pylist() == list(range(len(sizes)))
    assert list(decoded.rows) == list(range(len(sizes)))
    assert not decoded.rejected


def test_pieces_hold_as_many_data_as_fit_and_never_less_than_one() -> None:
    bound = arrow_bound(record(("a", "double")).root)  # 10 bytes a row and one a byte

    assert list(bound.pieces([8, 8, 8, 100, 8], most=40)) == [(0, 2), (2, 3), (3, 4), (4, 5)]
    assert list(bound.pieces([], most=40)) == []


def test_a_record_over_the_limit_is_a_dead_letter_of_its_own_class() -> None:
    most = RECORD_BYTES // BYTES_PER_NULL

    decoded = decoder().decode([sensor(0), sensor(most + 1), sensor(most - 4_500), sensor(0)])

    assert classes(decoded.rejected) == {1: "decoded_too_large"}
    assert str(RECORD_BYTES) in decoded.rejected[0].message
    assert list(decoded.rows) == [0, 2, 3]


def test_each_record_is_counted_for_itself() -> None:
    assert not decoder().decode([sensor(500_000)] * 4).rejected


def test_a_record_that_only_might_be_over_the_limit_is_read() -> None:
    schema = record(
        ("id", "long"), ("text", "string"), ("many", {"type": "array", "items": ["null", READING]})
    )

    decoded = decoder(schema).decode(write(schema, {"id": 1, "text": "x" * 2_000_000, "many": [None]}))

    assert decoded.columns["id"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("datum", "error_class"),
    [
        (sensor(1_000_000)[:-500_000], "truncated"),  # a count of more items than there are bytes
        (sensor(700_000) + b"\0", "trailing_bytes"),
        (b"\2" + b"\xff" * 1_000_000, "invalid"),
    ],
)
def test_a_bad_record_that_might_be_over_the_limit_is_named_as_any_other(
    datum: bytes, error_class: str
) -> None:
    decoded = decoder().decode([sensor(1), datum])

    assert classes(decoded.rejected) == {1: error_class}
    assert list(decoded.rows) == [0]


def test_flat_records_are_decoded_at_once() -> None:
    schema = record(*((f"f{number}", ["null", "double"]) for number in range(13)), ("name", "string"))
    usual = writer_decoder(schema.root, schema.root, list(leaves(schema)))

    assert usual.bound.of(rows=50_000, data_bytes=50_000 * 150) < usual.piece_bytes


IN_LITTLE_MEMORY = """
import resource, sys
from tests.unit.avro.test_decoded_size import {schema}, decoder, sensor, wide
from stream_infer.avro.decode import Decoder
values = [{value} for _ in range({count})]
decode = decoder({schema}).decode
decode(values[:1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decoded = decode(values)
assert len(decoded.rows) + len(decoded.rejected) == {count}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, len(decoded.rows))
"""

# Only the strict reader reads it, for `odd`.
WIDE = record(
    ("id", "long"),
    ("readings", {"type": "array", "items": READING}),
    ("odd", {"type": "fixed", "name": "Odd", "size": 17}),
)


def wide(items: int) -> bytes:
    """An event of `WIDE`, 20 bytes an item."""
    [head] = write(record(("id", "long"), ("count", "long")), {"id": 7, "count": items})
    return head + bytes(20 * items + 1 + 17)


@pytest.mark.parametrize(
    ("schema", "value", "count", "read"),
    [
        ("SENSOR", "sensor(700_000)", 12, 12),
        ("SENSOR", "sensor(1_000_000)", 40, 0),
        ("WIDE", "wide(50_000)", 4, 4),
    ],
)
def test_events_of_a_megabyte_are_decoded_in_little_memory(
    schema: str, value: str, count: int, read: int
) -> None:
    script = IN_LITTLE_MEMORY.format(schema=schema, value=value, count=count)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
    )

    grown_mb, rows = map(int, done.stdout.split())
    assert rows == read
    assert grown_mb < 100
