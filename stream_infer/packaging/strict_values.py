"""One Python value as a value of an Avro type that is no container: nothing is guessed, rounded or cut.

JSON has no dates, times and decimals: they are texts there, in ISO 8601 and in digits.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import reprlib
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from stream_infer.avro.types import Enum, Fixed, Scalar, Type, describe_type, is_null

_BITS = {"int": 31, "long": 63}
_GREATEST = {"float": float(np.finfo(np.float32).max), "double": math.inf}
_EXACT = 2**53
_BEYOND_MICROSECONDS = re.compile(r"[.,]\d{7}")


class ValueMisfit(ValueError):
    """A value that does not fit its field, and why."""


def shown(value: object) -> str:
    """Return `value` for a message, shortened."""
    return reprlib.repr(value)


def plain_value(kind: Type, value: object) -> object:
    """Return `value` as a writer of `kind`, which is no container, takes it. Raises `ValueMisfit`."""
    if value is None and not is_null(kind):
        raise ValueMisfit(f"null, and {describe_type(kind)} has none")
    match kind:
        case Enum():
            return _symbol(kind, value)
        case Fixed() | Scalar():
            logical = _LOGICAL.get(kind.logical or "")
            return logical(kind, value) if logical is not None else _physical(kind, value)
    raise ValueMisfit(f"{shown(value)} is not {describe_type(kind)}")


def _physical(kind: Scalar | Fixed, value: object) -> object:
    if isinstance(kind, Fixed):
        plain = _bytes(kind, value)
        if len(plain) == kind.size:
            return plain
        raise ValueMisfit(f"{shown(value)} is not {kind.size} bytes")
    return _KINDS[kind.kind](kind, value)


def _symbol(kind: Enum, value: object) -> object:
    if isinstance(value, str) and value in kind.symbols:
        return value
    raise ValueMisfit(f"{shown(value)} is not one of {', '.join(kind.symbols)}")


def _integer(kind: Scalar, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ValueMisfit(f"{shown(value)} is not a whole number ({describe_type(kind)})")
    if not -(1 << _BITS[kind.kind]) <= value < 1 << _BITS[kind.kind]:
        raise ValueMisfit(f"{shown(value)} is out of the range of {kind.kind}")
    return int(value)


def _number(kind: Scalar, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueMisfit(f"{shown(value)} is not a number ({describe_type(kind)})")
    if isinstance(value, int) and abs(value) > _EXACT:
        raise ValueMisfit(f"{shown(value)} is beyond 2^53, where a {kind.kind} is not exact")
    if _GREATEST[kind.kind] < abs(value) < math.inf:
        raise ValueMisfit(f"{shown(value)} is out of the range of {kind.kind}")
    return float(value)


def _bytes(kind: Scalar | Fixed, value: object) -> bytes:
    """Return bytes; in a text each character is one, as in the JSON encoding of Avro."""
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueMisfit(f"{shown(value)} has characters that are no bytes (above U+00FF)") from None
    if isinstance(value, bytes):
        return value
    raise ValueMisfit(f"{shown(value)} is {type(value).__name__}, not {describe_type(kind)}")


def _of(*types: type) -> Callable[[Scalar, object], object]:
    def check(kind: Scalar, value: object) -> object:
        if isinstance(value, types):
            return value
        raise ValueMisfit(f"{shown(value)} is {type(value).__name__}, not {describe_type(kind)}")

    return check


_KINDS: Mapping[str, Callable[[Scalar, object], object]] = {
    "null": _of(type(None)),
    "boolean": _of(bool),
    "int": _integer,
    "long": _integer,
    "float": _number,
    "double": _number,
    "string": _of(str),
    "bytes": _bytes,
}


def _parsed(value: object, parse: Callable[[str], object], what: str) -> object:
    """Return `value`, a text as what it says. Raises `ValueMisfit`."""
    if not isinstance(value, str):
        return value
    try:
        return parse(value)
    except (ValueError, InvalidOperation):
        raise ValueMisfit(f"{shown(value)} is no {what}") from None


def _instant(kind: Any, value: object) -> object:  # noqa: ANN401 - a scalar or a fixed
    if isinstance(value, str) and _BEYOND_MICROSECONDS.search(value):
        raise ValueMisfit(f"{shown(value)} has digits beyond microseconds; give a whole number of the unit")
    value = _parsed(value, dt.datetime.fromisoformat, "time of ISO 8601, such as 2026-07-01T12:00:00Z")
    if not isinstance(value, dt.datetime):
        return _physical(kind, value)
    if pd.isna(value):
        raise ValueMisfit("NaT is no instant; a missing one is None")
    local = kind.logical.startswith("local-")
    if not local and value.tzinfo is None:
        raise ValueMisfit(f"{value.isoformat()} has no time zone; give one, such as tzinfo=datetime.UTC")
    if local and value.tzinfo is not None:
        raise ValueMisfit(f"{value.isoformat()} has a time zone, and {kind.logical} none")
    return value


def _date(kind: Any, value: object) -> object:  # noqa: ANN401 - a scalar or a fixed
    value = _parsed(value, dt.date.fromisoformat, "date of ISO 8601, such as 2026-07-01")
    if isinstance(value, dt.datetime):
        raise ValueMisfit(f"{value} is a datetime, and its time would be cut; give its date()")
    return value if isinstance(value, dt.date) else _physical(kind, value)


def _time(kind: Any, value: object) -> object:  # noqa: ANN401 - a scalar or a fixed
    value = _parsed(value, dt.time.fromisoformat, "time of ISO 8601, such as 12:00:00")
    if isinstance(value, dt.time) and value.tzinfo is not None:
        raise ValueMisfit(f"{value.isoformat()} has a time zone, and {kind.logical} none")
    return value if isinstance(value, dt.time) else _physical(kind, value)


def _decimal(kind: Any, value: object) -> object:  # noqa: ANN401 - a scalar or a fixed
    value = _parsed(value, Decimal, "decimal, such as 12.50")
    if isinstance(value, int | float):
        raise ValueMisfit(f"{shown(value)} is {type(value).__name__}, not a decimal; give Decimal('{value}')")
    return value if isinstance(value, Decimal) else _physical(kind, value)


def _uuid(kind: Any, value: object) -> object:  # noqa: ANN401 - a scalar or a fixed
    return value if isinstance(value, UUID) else _physical(kind, value)


_LOGICAL: Mapping[str, Callable[[Any, object], object]] = {
    "date": _date,
    "time-millis": _time,
    "time-micros": _time,
    "decimal": _decimal,
    "uuid": _uuid,
    **{
        f"{local}timestamp-{unit}": _instant
        for local in ("", "local-")
        for unit in ("millis", "micros", "nanos")
    },
}
