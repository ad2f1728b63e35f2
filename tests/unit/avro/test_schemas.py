from __future__ import annotations

import json
from typing import Any

import pytest

from stream_infer.avro.schemas import NO_DEFAULT, Leaf, SchemaRefused, leaves, other_fields, parse_schema
from tests.unit.avro.world import nested, record

WIDE = nested("W", *((f"w{number}", "int") for number in range(60)))


def chain(length: int) -> dict[str, Any]:
    """A record in a record in a record."""
    inner: Any = "int"
    for number in range(length):
        inner = nested(f"R{number}", ("next", inner))
    return inner


def doubling(length: int) -> dict[str, Any]:
    """Each record holds the one before twice, by name: 2 ** length fields in a few lines."""
    inner: Any = nested("R0", ("a", "int"))
    for number in range(1, length):
        inner = nested(f"R{number}", ("a", inner), ("b", f"R{number - 1}"))
    return inner


def lists(length: int) -> Any:
    """A union in a union in a union."""
    inner: Any = "int"
    for _ in range(length):
        inner = [inner]
    return inner


def wrapped(length: int) -> Any:
    """A type in a type in a type."""
    inner: Any = "int"
    for _ in range(length):
        inner = {"type": inner}
    return inner


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('"string"', "has to be a record"),
        ("[]", "without branches"),
        ('{"type": "record", "name": "R"}', "no list of fields"),
        ('{"type": "record", "fields": []}', "no valid name"),
        ('{"type": "enum", "name": "E", "symbols": ["A"]}', "has to be a record"),
    ],
)
def test_a_schema_that_is_no_record_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SchemaRefused, match=sentence):
        parse_schema(text)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        (["null", "test.Event"], "contains itself"),
        ({"type": "array", "items": "Event"}, "contains itself"),
        ({"type": "array", "items": "null"}, "take no bytes"),
        ({"type": "map", "values": nested("Nothing")}, "take no bytes"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "take no bytes"),
        ({"type": "array", "items": nested("Nothing", ("a", "null"))}, "take no bytes"),
        (chain(40), "nested more than 32 deep"),
        (doubling(14), "more than 2000 fields"),
        ("Unheard", "does not define"),
        (["int", "int"], "two branches of one type"),
        (["null", ["null", "int"]], "directly inside a union"),
        (lists(300), "directly inside a union"),
        (wrapped(300), "nested more than 32 deep"),
        ({"type": "fixed", "name": "Vast", "size": 10**4_000}, "no valid size"),
        (
            nested("Many", *((f"m{number % 49_999}", "int") for number in range(50_000))),
            "more than 2000 fields",
        ),
        ([nested(f"B{number}") for number in range(3_000)], "more than 2000 fields"),
        ({"type": "enum", "name": "E", "symbols": []}, "needs symbols"),
        ({"type": "enum", "name": "E", "symbols": ["A", "A"]}, "needs symbols"),
        ({"type": "enum", "name": "E", "symbols": ["not a name"]}, "needs symbols"),
        ({"type": "fixed", "name": "F", "size": -1}, "no valid size"),
        (nested("Event"), "defines test.Event twice"),
        (nested("Inner", ("a", "int"), ("a", "int")), "two fields named a"),
        (nested("Inner", ("a.b", "int")), "no valid name"),
        ({"type": "array"}, "neither a name"),
    ],
)
def test_a_schema_that_is_unsafe_for_a_decoder_is_refused(kind: Any, sentence: str) -> None:
    with pytest.raises(SchemaRefused, match=sentence):
        record(("a", kind))


@pytest.mark.parametrize(
    ("kind", "default"),
    [
        ("int", "1"),
        ("int", 2**31),
        ("int", True),
        ("string", 1),
        ("double", "nan"),
        ("bytes", "\u0394"),
        (["null", "int"], "x"),
        (nested("Inner", ("a", "int")), {}),
    ],
)
def test_a_default_of_another_type_is_refused(kind: Any, default: object) -> None:
    with pytest.raises(SchemaRefused, match="default"):
        record({"name": "a", "type": kind, "default": default})


def test_a_schema_of_2000_fields_and_32_levels_is_accepted() -> None:
    assert len(leaves(record(*((f"f{number}", "int") for number in range(2000))))) == 2000
    assert list(leaves(record(("a", chain(30))))) == [".".join(["a", *["next"] * 30])]


def test_the_fingerprint_ignores_what_the_canonical_form_ignores() -> None:
    plain = record(("a", "int"), ("b", "string"))
    adorned = record(
        {"name": "a", "type": {"type": "int", "logicalType": "date"}, "doc": "a date", "default": 1},
        {"name": "b", "type": {"type": "string"}, "aliases": ["c"]},
        doc="an event",
    )

    assert adorned.fingerprint == plain.fingerprint
    assert len(plain.fingerprint) == 8
    assert record(("a", "long"), ("b", "string")).fingerprint != plain.fingerprint


def test_the_fingerprint_is_little_endian_crc_64_avro() -> None:
    canonical = b'{"name":"test.Event","type":"record","fields":[{"name":"a","type":"int"}]}'

    assert record(("a", "int")).fingerprint == rabin(canonical).to_bytes(8, "little")


def rabin(data: bytes) -> int:
    """CRC-64-AVRO, bit by bit as in the specification."""
    empty = 0xC15D213AA4D7A795
    value = empty
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
    return value


def test_leaves_are_the_scalars_within_records() -> None:
    schema = record(
        ("id", "string"),
        {"name": "n", "type": ["null", "long"], "default": None},
        ("color", {"type": "enum", "name": "Color", "symbols": ["RED"]}),
        ("at", {"type": "long", "logicalType": "timestamp-millis"}),
        ("card", ["null", nested("Card", ("limit", "double"), ("ok", ["boolean", "null"]))]),
        ("tags", {"type": "array", "items": "string"}),
        ("either", ["int", "string"]),
        ("raw", ["null", "bytes"]),
        ("nothing", "null"),
    )

    assert list(leaves(schema).values()) == [
        Leaf("id", "string", nullable=False, logical=None, default=NO_DEFAULT),
        Leaf("n", "long", nullable=True, logical=None, default=None),
        Leaf("color", "enum", nullable=False, logical=None, default=NO_DEFAULT),
        Leaf("at", "long", nullable=False, logical="timestamp-millis", default=NO_DEFAULT),
        Leaf("card.limit", "double", nullable=True, logical=None, default=NO_DEFAULT),
        Leaf("card.ok", "boolean", nullable=True, logical=None, default=NO_DEFAULT),
    ]
    assert other_fields(schema) == {
        "tags": "an array",
        "either": "a union of int and string",
        "raw": "bytes",
        "nothing": "null",
    }


def test_a_named_type_can_be_used_again_and_namespaces_are_inherited() -> None:
    text = json.dumps(
        nested(
            "Event",
            ("a", nested("Point", ("x", "double"))),
            ("b", "test.Point"),
            ("c", ["null", "Point"]),
            namespace="test",
        )
    )

    assert list(leaves(parse_schema(text))) == ["a.x", "b.x", "c.x"]
    assert parse_schema(text).name == "test.Event"


def test_schemas_of_one_text_are_equal() -> None:
    assert record(("a", "int")) == record(("a", "int"))
    assert len({record(("a", "int")), record(("a", "int")), record(("a", "long"))}) == 2
