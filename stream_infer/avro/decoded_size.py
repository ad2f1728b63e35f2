"""How many bytes a datum takes as Arrow columns: a bound by its schema.

Every item of an array or a map has a slot in each column below it, a null too: one byte of a datum may become
hundreds of bytes. Nothing else grows with the datum: strings are copied, and a row has one slot in each of
the other columns. So rows and bytes of the data bound the size of a batch before it is decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from stream_infer.avro.types import (
    Array,
    Enum,
    Fixed,
    Map,
    Record,
    Scalar,
    Type,
    Union,
    is_zero_width,
    without_null,
)

_VALIDITY = 1  # a bit, rounded up
_OFFSET = 4
_SCALARS = {"null": 0, "boolean": 1, "float": 4, "string": _OFFSET, "bytes": _OFFSET + _VALIDITY}
_WIDEST_SCALAR = 8
_LEAST_SCALARS = {"null": 0, "float": 4, "double": 8}
# `[null, nothing]` is read as an enum of two symbols of up to six letters.
_NULL_OR_NOTHING = _OFFSET + 6 + _VALIDITY
_OBJECT = 80  # a Python object and its place in a tuple


@dataclass(frozen=True, slots=True)
class SizeBound:
    """At most `row` bytes for each row and `per_byte` for each byte of its datum."""

    row: int
    per_byte: float

    def of(self, rows: int, data_bytes: int) -> float:
        """Return the most that `rows` data of `data_bytes` together take."""
        return rows * self.row + data_bytes * self.per_byte

    def pieces(self, lengths: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
        """Yield `(first, end)` of runs of data with these lengths: at most `most` bytes, or one datum."""
        ends = np.cumsum(np.asarray(lengths, np.float64) * self.per_byte + self.row)
        first, before = 0, 0.0
        while first < len(ends):
            end = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
            yield first, end
            first, before = end, float(ends[end - 1])


def arrow_bound(record: Record) -> SizeBound:
    """Return the bound for `record` data in Arrow columns."""
    densest = max(map(expansion, _collections(record)), default=0.0)
    return SizeBound(width(record), 1.0 + densest)


def object_bound(record: Record) -> SizeBound:
    """Return the bound for `record` data as Python objects, of which items of arrays have none."""
    return SizeBound(_OBJECT * _objects(record), 1.0)


def expansion(collection: Array | Map) -> float:
    """Return how many bytes of slots a byte of an item may take, what is in arrays within the item aside."""
    return item_width(collection) / least_item_bytes(collection)


def item_width(collection: Array | Map) -> int:
    """Return how many bytes the slots of one item take."""
    if isinstance(collection, Array):
        return width(collection.items)
    return _VALIDITY + _OFFSET + width(collection.values)


def least_item_bytes(collection: Array | Map) -> int:
    """Return how many bytes of a datum one item takes at least."""
    return (
        least_bytes(collection.items) if isinstance(collection, Array) else 1 + least_bytes(collection.values)
    )


def width(kind: Type) -> int:
    """Return how many bytes one slot of `kind` takes, without the text of strings and items of arrays."""
    if is_zero_width(kind):
        return 0
    match kind:
        case Scalar():
            return _VALIDITY + _SCALARS.get(kind.kind, _WIDEST_SCALAR)
        case Enum():
            return _VALIDITY + _OFFSET + max(map(len, kind.symbols))
        case Fixed():
            return _VALIDITY + kind.size + kind.size // 4  # words of 4 and 8 bytes, each with its validity
        case Record():
            return _VALIDITY + sum(width(field.type) for field in kind.fields)
        case Union():
            inner, nullable = without_null(kind)
            if nullable:
                return width(inner) or _NULL_OR_NOTHING
            # a branch is a record of its own, and has a slot for each value of any branch
            return 1 + sum(_VALIDITY + width(branch) for branch in kind.branches)
        case _:
            return _VALIDITY + _OFFSET


def least_bytes(kind: Type) -> int:
    """Return how many bytes a datum of `kind` takes at least."""
    match kind:
        case Scalar():
            return _LEAST_SCALARS.get(kind.kind, 1)
        case Fixed():
            return kind.size
        case Record():
            return sum(least_bytes(field.type) for field in kind.fields)
        case Union():
            return 1 + min(map(least_bytes, kind.branches))
        case _:
            return 1


def _collections(kind: Type) -> Iterator[Array | Map]:
    match kind:
        case Array():
            yield kind
            yield from _collections(kind.items)
        case Map():
            yield kind
            yield from _collections(kind.values)
        case Record():
            for field in kind.fields:
                yield from _collections(field.type)
        case Union():
            for branch in kind.branches:
                yield from _collections(branch)


def _objects(kind: Type) -> int:
    match kind:
        case Record():
            return 1 + sum(_objects(field.type) for field in kind.fields)
        case Union():
            return max(map(_objects, kind.branches))
        case _:
            return 1
