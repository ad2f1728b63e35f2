"""One value of a data file as a value of an Avro scalar, enum or fixed: text, JSON, Arrow or Avro values.

Timestamps and dates become the integers that the wire carries. What does not fit raises `Misfit`.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from uuid import UUID

import pandas as pd

from stream_infer.avro.types import Enum, Fixed, Scalar

_NANOSECONDS = {"millis": 1_000_000, "micros": 1_000, "nanos": 1}
_BITS = {"int": 31, "long": 63}
_BOOLEANS: Mapping[object, bool] = {
    "true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False, 1: True, 0: False,
}  # fmt: skip
_TEXT_LATIN_1 = "write text with one character a byte (U+0000 to U+00FF), as Avro's JSON encoding does"
_FILL_IN = "fill in a value, or make the field nullable in the schema"


class Misfit(ValueError):
    """A value that a field cannot carry: what is wrong with it, and the fix."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.fix = fix


def scalar_value(kind: Scalar, value: object) -> object:
    """Return `value` as `kind` holds it. Raises `Misfit`.

    No value is NaN for float and double, as pandas has it.
    """
    if value is None:
        if kind.kind in {"float", "double"}:
            return math.nan
        if kind.kind != "null":
            raise Misfit("is empty, and the field cannot be null", _FILL_IN)
        return None
    if kind.logical is not None:
        value = _logical(kind.logical, value)
    return _CONVERT[kind.kind](kind.kind, value)


def enum_value(kind: Enum, value: object) -> str:
    """Return the symbol `value`. Raises `Misfit`."""
    if isinstance(value, str) and value in kind.symbols:
        return value
    raise Misfit("is not a symbol of the enum", f"use one of: {', '.join(kind.symbols)}")


def fixed_value(kind: Fixed, value: object) -> object:
    """Return `value` as bytes of the size of `kind`, or as a Decimal. Raises `Misfit`."""
    if kind.logical is not None:
        value = _logical(kind.logical, value)
        if isinstance(value, Decimal):
            return value
    found = _bytes("fixed", value)
    if isinstance(found, bytes) and len(found) != kind.size:
        raise Misfit(f"has {len(found)} bytes, and the field {kind.size}", "give a value of that size")
    return found


def _logical(logical: str, value: object) -> object:
    """Return a time, a date, a decimal or a UUID as Avro's writer takes it; anything else as it is."""
    if logical == "decimal" and isinstance(value, (str, int, float)):
        try:
            return Decimal(str(value))
        except InvalidOperation as error:
            raise Misfit("is not a decimal number", "write a number such as 12.50") from error
    if isinstance(value, UUID):
        return str(value)
    if logical == "date" or "timestamp" in logical:
        return _instant(logical, value)
    if logical.startswith("time-") and isinstance(value, (str, dt.time)):
        return _time_of_day(logical, value)
    return value


def _instant(logical: str, value: object) -> object:
    if isinstance(value, str) and not value.strip().lstrip("+-").isdecimal():
        pass
    elif not isinstance(value, dt.date):  # a datetime is a date
        return value
    try:
        stamp = pd.Timestamp(value)
        if stamp.tzinfo is not None:
            stamp = stamp.tz_convert("UTC").tz_localize(None)
        nanoseconds = stamp.as_unit("ns").value
    except (ValueError, OverflowError) as error:
        example = "2026-01-31" if logical == "date" else "2026-01-31T00:00:00Z"
        raise Misfit(f"is not a {logical}", f"write ISO 8601 such as {example}, or the integer") from error
    unit = _NANOSECONDS.get(logical.rpartition("-")[2], 86_400 * 1_000_000_000)
    return nanoseconds // unit


def _time_of_day(logical: str, value: str | dt.time) -> object:
    if isinstance(value, str):
        try:
            value = dt.time.fromisoformat(value)
        except ValueError as error:
            raise Misfit(f"is not a {logical}", "write ISO 8601 such as 13:30:00") from error
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return (seconds * 1_000_000 + value.microsecond) * 1_000 // _NANOSECONDS[logical.rpartition("-")[2]]


def _integer(kind: str, value: object) -> int:
    fix = f"write a whole number of {_BITS[kind] + 1} bits"
    if isinstance(value, (dt.date, dt.time)):
        raise Misfit(
            f"is a time, and the field a plain {kind}", "give the field a logicalType, or write integers"
        )
    number = _number(value, int, float)
    if number is None or number != number // 1:
        raise Misfit("is not a whole number", fix)
    if not -(1 << _BITS[kind]) <= number < 1 << _BITS[kind]:
        raise Misfit(f"is out of the range of {kind}", fix)
    return int(number)


def _float(kind: str, value: object) -> float:
    number = _number(value, float)
    if number is None:
        raise Misfit(f"is not a {kind}", "write a number such as 12.5")
    return float(number)


def _number(value: object, *parsers: Callable[[str], int | float]) -> int | float | None:
    """Return the number that `value` is, or that the first of `parsers` finds in its text; else None."""
    if isinstance(value, (int, float)):
        return None if isinstance(value, bool) else value
    if not isinstance(value, (str, Decimal)) or "_" in str(value):  # Python takes 1_000, pandas does not
        return None
    for parse in parsers:
        try:
            return parse(str(value))
        except ValueError:
            continue
    return None


def _boolean(_kind: str, value: object) -> bool:
    key = value.lower() if isinstance(value, str) else value
    if isinstance(key, (str, int, float)) and key in _BOOLEANS:
        return _BOOLEANS[key]
    raise Misfit("is neither true nor false", "write true or false")


def _text(_kind: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise Misfit(f"is {type(value).__name__}, not text", "write it as text")


def _bytes(kind: str, value: object) -> object:
    if isinstance(value, (bytes, Decimal)):
        return value
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise Misfit("has a character that is no byte", _TEXT_LATIN_1) from error
    raise Misfit(f"is {type(value).__name__}, not {kind}", _TEXT_LATIN_1)


def _null(_kind: str, _value: object) -> None:
    raise Misfit("is a value, and the field is always null", "leave it empty")


_CONVERT: Mapping[str, Callable[[str, object], object]] = {
    "null": _null,
    "boolean": _boolean,
    "int": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "string": _text,
    "bytes": _bytes,
}
