from __future__ import annotations

from uuid import UUID

import pytest

from stream_infer.avro.confluent import (
    HEADER,
    NO_HEAD,
    Unusable,
    Writer,
    guid_head,
    heads,
    id_head,
    split_heads,
)
from stream_infer.avro.decode import Decoded, Decoder
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, leaves
from stream_infer.flow.records import Headers
from tests.unit.avro.world import record, write

OLD = record(("n", "int"))
NEW = record(("n", "long"), {"name": "extra", "type": "string", "default": "none"})
GUID = UUID("12345678-1234-5678-1234-567812345678").bytes
REGISTERED: dict[bytes, Writer] = {id_head(1): OLD, id_head(2): NEW, guid_head(GUID): OLD}
[OLD_1, OLD_2] = write(OLD, {"n": 1}, {"n": 2})
[NEW_3] = write(NEW, {"n": 3, "extra": "x"})


def decoder(registered: dict[bytes, Writer] | None = None, reader: Schema = NEW, *paths: str) -> Decoder:
    known = REGISTERED if registered is None else registered
    return Decoder(Framing.CONFLUENT, [], paths or list(leaves(reader)), reader=reader, registered=known)


def classes(decoded: Decoded) -> dict[int, str]:
    return {item.row: item.error_class for item in decoded.rejected}


def test_the_id_is_four_bytes_after_a_zero() -> None:
    assert id_head(258) == b"\x00\x00\x00\x01\x02"
    assert guid_head(GUID) == b"\x01" + GUID


def test_writers_of_one_batch_are_distinguished_by_id_and_guid_in_value_and_header() -> None:
    values = [id_head(1) + OLD_1, OLD_2, id_head(2) + NEW_3, guid_head(GUID) + OLD_1]
    headers: list[Headers | None] = [None, [("a", b""), (HEADER, guid_head(GUID))], [("a", b"")], ()]

    decoded = decoder().decode(values, headers)

    assert list(decoded.rows) == [0, 1, 2, 3]
    assert decoded.columns["n"].to_pylist() == [1, 2, 3, 1]
    assert decoded.columns["extra"].to_pylist() == ["none", "none", "x", "none"]


def test_an_id_in_a_header_counts_first_and_the_first_header_of_the_name() -> None:
    named: Headers = [(HEADER, id_head(1)), (HEADER, id_head(2))]

    decoded = decoder().decode([OLD_2], [named])

    assert decoded.columns["n"].to_pylist() == [2]


def test_without_a_value_of_the_header_the_head_of_the_value_counts() -> None:
    decoded = decoder().decode([id_head(1) + OLD_2], [[(HEADER, None)]])

    assert decoded.columns["n"].to_pylist() == [2]


@pytest.mark.parametrize(
    "start", [b"\x02\x00\x00\x00\x01", b"\x00\x00\x01", b"\x01" + GUID[:-1], b"\xc3\x01"]
)
@pytest.mark.parametrize("in_header", [False, True])
def test_a_head_that_is_none_is_bad_magic_and_its_neighbours_are_read(
    start: bytes, *, in_header: bool
) -> None:
    value, headers = (OLD_1, [(HEADER, start)]) if in_header else (start, None)

    decoded = decoder().decode([id_head(1) + OLD_1, value, id_head(1) + OLD_2], [None, headers, None])

    assert classes(decoded) == {1: "bad_magic"}
    assert decoded.columns["n"].to_pylist() == [1, 2]


def test_without_value_datum_or_schema_there_is_nothing_to_read() -> None:
    values = [None, b"", id_head(1), id_head(9) + OLD_1, id_head(8) + OLD_1]
    refused = Unusable("schema_incompatible", "It is no Avro.")

    decoded = decoder({**REGISTERED, id_head(8): refused}).decode(values, [None] * 5)

    assert classes(decoded) == {
        0: "null_value",
        1: "empty",
        2: "truncated",
        3: "unknown_schema",
        4: "schema_incompatible",
    }
    assert "00000009" in decoded.rejected[3].message
    assert decoded.rejected[4].message == "It is no Avro."


def test_a_writer_that_is_registered_later_is_decoded_without_touching_the_others() -> None:
    registered: dict[bytes, Writer] = {id_head(1): OLD}
    reading = decoder(registered)
    assert classes(reading.decode([id_head(1) + OLD_1, id_head(2) + NEW_3])) == {1: "unknown_schema"}
    before = reading._decoders[id_head(1)]

    registered[id_head(2)] = NEW
    decoded = reading.decode([id_head(1) + OLD_1, id_head(2) + NEW_3])

    assert decoded.columns["n"].to_pylist() == [1, 3]
    assert reading._decoders[id_head(1)] is before


def test_a_schema_that_was_unknown_is_read_once_it_is_known() -> None:
    registered: dict[bytes, Writer] = {id_head(1): Unusable("unknown_schema", "Not there.")}
    reading = decoder(registered)
    assert classes(reading.decode([id_head(1) + OLD_1])) == {0: "unknown_schema"}

    registered[id_head(1)] = OLD

    assert not reading.decode([id_head(1) + OLD_1]).rejected


def test_a_writer_that_the_reader_cannot_read_is_incompatible_row_by_row() -> None:
    unknown = record(("other", "string"))
    registered: dict[bytes, Writer] = {id_head(1): OLD, id_head(2): unknown}

    decoded = decoder(registered).decode([id_head(2) + b"\x00", id_head(1) + OLD_1])

    assert classes(decoded) == {0: "schema_incompatible"}
    assert decoded.columns["n"].to_pylist() == [1]


def test_a_decoder_needs_a_reader() -> None:
    with pytest.raises(ValueError, match="schema of a reader"):
        Decoder(Framing.CONFLUENT, [], [])


def test_heads_are_found_without_splitting_and_tombstones_have_none() -> None:
    values = [id_head(1) + OLD_1, None, OLD_1, guid_head(GUID) + OLD_1]
    headers: list[Headers | None] = [None, None, [(HEADER, id_head(7))], None]

    assert heads(values, headers) == [id_head(1), NO_HEAD, id_head(7), guid_head(GUID)]
    assert heads([id_head(1) + OLD_1] * 3, [None] * 3) == [id_head(1)] * 3


def test_a_batch_of_one_writer_is_split_as_each_of_its_values_alone() -> None:
    value = id_head(1) + OLD_1

    assert split_heads([value] * 2, [None] * 2) == ([id_head(1)] * 2, [OLD_1] * 2)
    assert split_heads([value], [[("a", b"")]]) == ([id_head(1)], [OLD_1])


def test_values_are_written_with_the_id_that_was_given_and_not_without() -> None:
    columns = decoder(None, OLD).decode([id_head(1) + OLD_1]).columns
    encoded = Encoder(OLD, Framing.CONFLUENT, schema_id=1).encode(columns)

    assert encoded == [id_head(1) + OLD_1]
    with pytest.raises(ValueError, match="needs its id"):
        Encoder(OLD, Framing.CONFLUENT)
