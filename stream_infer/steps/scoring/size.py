"""The size of a record on the wire: an upper bound, so no broker refuses a record that fits here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter

from stream_infer.flow.records import Headers

RECORD_OVERHEAD_BYTES = 100
"""61 of a record batch around one record, up to 36 of lengths, offset and timestamp within it (format v2)."""

HEADER_OVERHEAD_BYTES = 10
"""Two lengths as varints of at most 5 bytes."""


@dataclass(frozen=True, slots=True)
class RecordLimits:
    """The most bytes that the topics of predictions and dead letters take as one record."""

    predictions: int = 1_000_000
    dead_letters: int = 1_000_000


def record_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Return the most that a record of its own, uncompressed, takes in a log."""
    return RECORD_OVERHEAD_BYTES + len(key or b"") + len(value or b"") + headers_bytes(headers)


def headers_bytes(headers: Headers) -> int:
    """Return the most that `headers` take within a record."""
    return sum(
        HEADER_OVERHEAD_BYTES + len(name.encode("utf-8", "surrogatepass")) + len(value or b"")
        for name, value in headers
    )


def longest_headers_bytes(headers: Sequence[Headers | None]) -> int:
    """Return a bound of `headers_bytes` for each of many records, without looking at each in Python."""
    there = list(filter(None, headers))
    if not there:
        return 0
    names, values = (list(map(itemgetter(at), chain.from_iterable(there))) for at in (0, 1))
    longest_name = max(len(name.encode("utf-8", "surrogatepass")) for name in set(names))
    longest_value = max(map(len, filter(None, values)), default=0)
    return max(map(len, there)) * (HEADER_OVERHEAD_BYTES + longest_name + longest_value)
