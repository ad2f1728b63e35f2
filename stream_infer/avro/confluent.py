"""The Confluent wire format: a record names the schema that its value was written with.

A *head* is that name as bytes on the wire: 00 and the id as four bytes, or 01 and a GUID of sixteen. It comes
before the datum, or in a header of the record; the header counts first, as for Confluent's own deserializers.
A registry resolves a head to a `Writer`; it is not asked here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import itemgetter
from typing import cast

from stream_infer.avro.schemas import Schema
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Headers

HEADER = "__value_schema_id"
ID_MAGIC, GUID_MAGIC = 0, 1
_SIZES = {ID_MAGIC: 5, GUID_MAGIC: 17}
_ID_SIZE = _SIZES[ID_MAGIC]
MAX_ID = 2**31 - 1

_BEHIND_ID = itemgetter(slice(_ID_SIZE, None))
_NAME = itemgetter(0)

NO_HEAD = b""
"""The head of a record that has none."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A writer whose values cannot be read: the class of its dead letters, and the reason in a sentence."""

    error_class: DeadLetterClass
    reason: str


Writer = Schema | Unusable


def id_head(schema_id: int) -> bytes:
    """Return the head that names the schema with this id."""
    return bytes([ID_MAGIC]) + schema_id.to_bytes(4, "big")


def guid_head(guid: bytes) -> bytes:
    """Return the head that names the schema with this GUID, given as its sixteen bytes."""
    return bytes([GUID_MAGIC]) + guid


def heads(values: Sequence[bytes | None], headers: Sequence[Headers | None]) -> list[bytes]:
    """Return the head of each record, `NO_HEAD` where it has none."""
    present = cast("Sequence[bytes]", values) if all(values) else [value or b"" for value in values]
    return _same_head(present, headers) or [
        _locate(value, of_record)[0] for value, of_record in zip(present, headers, strict=True)
    ]


def split_heads(
    values: Sequence[bytes], headers: Sequence[Headers | None]
) -> tuple[list[bytes], list[bytes]]:
    """Return the head of each record, and the datum behind it."""
    found = _same_head(values, headers)
    if found:
        return found, list(map(_BEHIND_ID, values))
    positions = [_locate(value, of_record) for value, of_record in zip(values, headers, strict=True)]
    data = [value[start:] for value, (_, start) in zip(values, positions, strict=True)]
    return [head for head, _ in positions], data


def _same_head(values: Sequence[bytes], headers: Sequence[Headers | None]) -> list[bytes] | None:
    """Return the heads if all records name one writer by its id, as in most batches; no Python per record."""
    if not values or _any_in_header(headers):
        return None
    head = values[0][:_ID_SIZE]
    return [head] * len(values) if _is_id(head) and all(map(bytes.startswith, values, repeat(head))) else None


def _any_in_header(headers: Sequence[Headers | None]) -> bool:
    return any(headers) and HEADER in map(_NAME, chain.from_iterable(filter(None, headers)))


def _is_id(head: bytes) -> bool:
    return len(head) == _ID_SIZE and head[0] == ID_MAGIC


def _locate(value: bytes, headers: Headers | None) -> tuple[bytes, int]:
    """Return the head, and the position of the datum in the value. The first header of the name counts."""
    in_header = next((content for name, content in headers or () if name == HEADER), None)
    if in_header is not None:
        return _head(in_header), 0
    head = _head(value)
    return head, len(head)


def _head(start: bytes) -> bytes:
    size = _SIZES.get(start[0]) if start else None
    return start[:size] if size is not None and len(start) >= size else NO_HEAD
