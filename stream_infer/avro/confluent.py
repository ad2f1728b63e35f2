"""The Confluent wire format: how a record names the schema that its value was written with.

A *head* is what names it, as it stands on the wire: 00 and the id as four bytes, or 01 and a GUID of sixteen.
It comes before the datum, or in a header of the record; the header counts first, as for Confluent's own
deserializers. What a head means is for a registry to say, which is not asked here: a `Writer` is its answer.
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
"""Stands for a head where a record has none."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why no value of a writer can be read: the class of its dead letters, and a sentence."""

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
    return _one_writer(present, headers) or [
        _located(value, named)[0] for value, named in zip(present, headers, strict=True)
    ]


def split_heads(
    values: Sequence[bytes], headers: Sequence[Headers | None]
) -> tuple[list[bytes], list[bytes]]:
    """Return the head of each record, and the datum behind it."""
    found = _one_writer(values, headers)
    if found:
        return found, list(map(_BEHIND_ID, values))
    located = [_located(value, named) for value, named in zip(values, headers, strict=True)]
    data = [value[start:] for value, (_, start) in zip(values, located, strict=True)]
    return [head for head, _ in located], data


def _one_writer(values: Sequence[bytes], headers: Sequence[Headers | None]) -> list[bytes] | None:
    """Return the heads where all records name one writer by its id, as most batches do; found out in C."""
    if not values or _any_named(headers):
        return None
    head = values[0][:_ID_SIZE]
    return [head] * len(values) if _is_id(head) and all(map(bytes.startswith, values, repeat(head))) else None


def _any_named(headers: Sequence[Headers | None]) -> bool:
    return any(headers) and HEADER in map(_NAME, chain.from_iterable(filter(None, headers)))


def _is_id(head: bytes) -> bool:
    return len(head) == _ID_SIZE and head[0] == ID_MAGIC


def _located(value: bytes, headers: Headers | None) -> tuple[bytes, int]:
    """Return the head, and where in the value the datum begins. The first header of the name counts."""
    named = next((content for name, content in headers or () if name == HEADER), None)
    if named is not None:
        return _head(named), 0
    head = _head(value)
    return head, len(head)


def _head(start: bytes) -> bytes:
    size = _SIZES.get(start[0]) if start else None
    return start[:size] if size is not None and len(start) >= size else NO_HEAD
