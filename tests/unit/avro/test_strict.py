from __future__ import annotations

from typing import Any

import pytest

from stream_infer.avro import fast_reader, strict
from tests.unit.avro.world import record

ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
LONGS = {"type": "array", "items": "long"}


def read(kind: Any, datum: bytes) -> object:
    """What both readers say, which has to be one thing. The strict one has no items of arrays."""
    schema = record(("a", kind))
    fast = fast_reader.fast_reader(schema.root)
    assert fast is not None
    batch, _ = fast.read([datum])
    try:
        (value,) = strict.reader(schema.root)(datum)
    except strict.Malformed as error:
        assert batch is None
        return error.error_class
    assert batch is not None
    [column] = batch.column("f0").to_pylist()
    assert value == (None if isinstance(column, list) else column)
    return column


@pytest.mark.parametrize(
    ("kind", "datum", "expected"),
    [
        (ENUM, b"\x02", "B"),
        (ENUM, b"\x01", "invalid"),  # -1: fastavro takes it for B
        (ENUM, b"\x04", "invalid"),
        (["null", "long"], b"\x01\x02", "invalid"),  # -1: fastavro takes it for long
        (["null", "long"], b"\x04\x02", "invalid"),
        ("boolean", b"\x01", True),
        ("boolean", b"\x07", "invalid"),
        ("string", b"\x01", "invalid"),  # a length of -1
        ("string", b"\xfe\xff\xff\xff\x0f", "truncated"),  # a length of 2 GB
        ("string", b"\x04\xed\xa0", "invalid_utf8"),
        ("string", b"\x06\xed\xa0\x80", "invalid_utf8"),  # a surrogate
        ("string", b"\x04\xc0\x80", "invalid_utf8"),  # an overlong zero
        ("double", b"\x00" * 7, "truncated"),
        ("float", b"\x00" * 5, "trailing_bytes"),
        ("long", b"\x80\x00", 0),  # longer than it needs to be
        ("long", b"\xff" * 9 + b"\x01", -(2**63)),
        ("long", b"\xff" * 9 + b"\x7f", -(2**63)),  # bits beyond the 64th are dropped
        ("long", b"\x80" * 10 + b"\x00", "invalid"),  # eleven bytes
        ("long", b"\x80" * 3, "truncated"),
        (LONGS, b"\x02\x06\x02\x08\x00", [3, 4]),
        (LONGS, b"\x03\x04\x06\x08\x00", [3, 4]),  # a block with its size
        (LONGS, b"\x02\x06", "truncated"),
        (LONGS, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x06\x00", "truncated"),  # 2**63 - 1 items
        (LONGS, b"\xff" * 9 + b"\x01\x00\x02\x06\x00", [3]),  # -(2**63) items: a block of none
    ],
)
def test_both_readers_take_the_same_bytes_for_the_same_value(
    kind: Any, datum: bytes, expected: object
) -> None:
    assert read(kind, datum) == expected
