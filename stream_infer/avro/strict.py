"""A strict reader of one datum: for rows that `fast_reader` suspects, and for schemas that it cannot read.

Why not fastavro's reader: it reads a negative enum or union index from the end, a boolean byte of 7 as true,
ignores bytes that follow the datum, and does not tell where it stopped. This one accepts exactly what
`fast_reader` accepts (a property test compares them on any bytes) and names the fault. On valid data it
agrees with fastavro (a property test too). Like `fast_reader`, it drops the bits of a ten-byte varint beyond
the 64th.

No leaf is in an array or a map: their items are read and dropped, so that memory does not grow with them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from stream_infer.avro.decoded_size import item_width, least_item_bytes
from stream_infer.avro.types import Array, Enum, Fixed, Map, Record, Scalar, Type, Union
from stream_infer.flow.codes import DeadLetterClass

Read = Callable[[bytes, int], tuple[object, int]]
Count = Callable[[int], None]

_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
_WORD = 2**64 - 1
_LAST_SHIFT = 63


class Malformed(Exception):
    """Bytes that are not a datum of the schema: `error_class` says how."""

    def __init__(self, error_class: DeadLetterClass, message: str) -> None:
        super().__init__(message)
        self.error_class = error_class


def _uncounted(_bytes: int) -> None:
    """Take no note."""


def reader(record: Record, count: Count = _uncounted) -> Callable[[bytes], Sequence[object]]:
    """Return a function from a datum of `record` to its field values, which raises `Malformed`.

    A record is a tuple of all its fields, an enum its symbol, a nullable value None or the value, an array or
    a map None. `count` is given the bytes that the items of each block would take in Arrow columns, before
    they are read; what it raises passes through.
    """
    fields = tuple(_read(field.type, count) for field in record.fields)

    def read(data: bytes) -> Sequence[object]:
        at = 0
        values = []
        try:
            for field in fields:
                value, at = field(data, at)
                values.append(value)
        except (IndexError, struct.error) as error:  # the ends of `data[at]` and of `unpack_from`
            raise _truncated() from error
        if at != len(data):
            raise Malformed(
                DeadLetterClass.TRAILING_BYTES, f"{len(data) - at} bytes follow the end of the record."
            )
        return values

    return read


def _truncated() -> Malformed:
    return Malformed(DeadLetterClass.TRUNCATED, "The value ends before its record does.")


def _invalid(message: str) -> Malformed:
    return Malformed(DeadLetterClass.INVALID, message)


def _read(kind: Type, count: Count) -> Read:
    match kind:
        case Scalar():
            return _SCALARS[kind.kind]
        case Enum():
            return _enum(tuple(kind.symbols))
        case Fixed():
            return _fixed(kind.size)
        case Array():
            return _blocks(kind, _read(kind.items, count), count)
        case Map():
            return _blocks(kind, _sequence((_text, _read(kind.values, count))), count)
        case Record():
            return _sequence(tuple(_read(field.type, count) for field in kind.fields))
        case Union():
            return _union(tuple(_read(branch, count) for branch in kind.branches))


def _null(_data: bytes, at: int) -> tuple[object, int]:
    return None, at


def _boolean(data: bytes, at: int) -> tuple[object, int]:
    byte = data[at]
    if byte > 1:
        raise _invalid("A boolean is neither 0 nor 1.")
    return byte == 1, at + 1


def _long(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := data[at]) & 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if shift > _LAST_SHIFT:
            raise _invalid("An integer takes more than ten bytes.")
    value = (value | byte << shift) & _WORD
    return (value >> 1) ^ -(value & 1), at + 1


def _float(data: bytes, at: int) -> tuple[object, int]:
    return _FLOAT.unpack_from(data, at)[0], at + 4


def _double(data: bytes, at: int) -> tuple[object, int]:
    return _DOUBLE.unpack_from(data, at)[0], at + 8


def _bytes(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _long(data, at)
    if size < 0:
        raise _invalid("A length is negative.")
    if size > len(data) - at:
        raise _truncated()
    return data[at : at + size], at + size


def _text(data: bytes, at: int) -> tuple[object, int]:
    raw, at = _bytes(data, at)
    try:
        return raw.decode(), at
    except UnicodeDecodeError as error:
        raise Malformed(DeadLetterClass.INVALID_UTF8, "A string is not UTF-8.") from error


def _enum(symbols: tuple[str, ...]) -> Read:
    def read(data: bytes, at: int) -> tuple[object, int]:
        index, at = _long(data, at)
        if not 0 <= index < len(symbols):
            raise _invalid("An enum has an index without a symbol.")
        return symbols[index], at

    return read


def _fixed(size: int) -> Read:
    def read(data: bytes, at: int) -> tuple[object, int]:
        if size > len(data) - at:
            raise _truncated()
        return data[at : at + size], at + size

    return read


def _sequence(parts: tuple[Read, ...]) -> Read:
    def read(data: bytes, at: int) -> tuple[object, int]:
        values = []
        for part in parts:
            value, at = part(data, at)
            values.append(value)
        return tuple(values), at

    return read


def _blocks(kind: Array | Map, item: Read, count: Count) -> Read:
    """Pass over items until a block of none; a negative number is followed by a size that nobody needs."""
    width, least = item_width(kind), least_item_bytes(kind)

    def read(data: bytes, at: int) -> tuple[object, int]:
        while True:
            number, at = _long(data, at)
            if number == 0:
                return None, at
            if number < 0:
                _, at = _long(data, at)
                # -(2**63) has no opposite in 64 bits: pyruhvro reads it as a block of none, and continues
                number = -number if number > -(2**63) else 0
            if number * least > len(data) - at:
                raise _truncated()
            count(number * width)
            for _ in range(number):
                _, at = item(data, at)

    return read


def _union(branches: tuple[Read, ...]) -> Read:
    def read(data: bytes, at: int) -> tuple[object, int]:
        index, at = _long(data, at)
        if not 0 <= index < len(branches):
            raise _invalid("A union has an index without a branch.")
        return branches[index](data, at)

    return read


_SCALARS: dict[str, Read] = {
    "null": _null,
    "boolean": _boolean,
    "int": _long,
    "long": _long,
    "float": _float,
    "double": _double,
    "bytes": _bytes,
    "string": _text,
}
