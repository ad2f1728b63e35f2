"""Builds events from the rows of a frame, as a producer would have sent them.

A feature's value goes to its field. Other fields take their default, else null, else the zero of their type.
Timestamps and dates become the integers of their encoding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation, localcontext
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from stream_infer.avro.schemas import Leaf, Schema
from stream_infer.avro.types import (
    NO_DEFAULT,
    Array,
    Enum,
    Fixed,
    Map,
    Record,
    Scalar,
    Type,
    Union,
    is_null,
    without_null,
)
from stream_infer.avro.types import Decimal as Digits
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.binding import Bound

Event = dict[str, Any]

_ZEROS: Mapping[str, object] = {
    "null": None,
    "boolean": False,
    "int": 0,
    "long": 0,
    "float": 0.0,
    "double": 0.0,
    "bytes": b"",
    "string": "",
}
_INTEGER_BITS = {"int": 31, "long": 63}
_EXACT_DIGITS = 15
_UNITS = {"millis": "ms", "micros": "us", "nanos": "ns"}


def build_events(frame: pd.DataFrame, bound: Sequence[Bound], schema: Schema) -> list[Event]:
    """Return one event for each row of `frame`, in order.

    Raises `Misconfigured` with every column that has a value its field cannot hold.
    """
    problems: list[Problem] = []
    columns = {}
    for feature in bound:
        try:
            columns[feature.leaf.path] = _values(frame[feature.name], feature.leaf)
        except (TypeError, ValueError, OverflowError) as error:
            problems.append(_unfit(feature, frame[feature.name], error))
    if problems:
        raise Misconfigured(problems)
    empty = zero_value(schema.root)
    rows = zip(*columns.values(), strict=True) if columns else ()
    return [_event(empty, schema.root, dict(zip(columns, row, strict=True))) for row in rows]


def event_of(schema: Schema, values: Mapping[str, object]) -> Event:
    """Return an event with `values`, by dotted path; its other fields take their default, null or zero."""
    return _event(zero_value(schema.root), schema.root, values)


class _EmptyCellError(ValueError):
    """A cell is empty, and its field cannot be null."""


def _unfit(feature: Bound, column: pd.Series, error: Exception) -> Problem:
    fix = "make the field's type that of the training data, or give the sample as Parquet, which keeps types"
    if isinstance(error, _EmptyCellError):
        fix = "let the field be null, or leave these rows out"
    leaf = feature.leaf
    kind = f"{leaf.kind} ({leaf.logical})" if leaf.logical else leaf.kind
    return Problem(
        "--golden",
        feature.name,
        f"column '{feature.name}' ({column.dtype}) does not fit field '{leaf.path}' ({kind}): {error}",
        fix,
    )


def is_instant(leaf: Leaf) -> bool:
    """Return whether `leaf` is a point in time, which a frame may hold as datetime64."""
    return leaf.logical is not None and (leaf.logical == "date" or "timestamp" in leaf.logical)


def is_duration(leaf: Leaf) -> bool:
    """Return whether `leaf` is a time of day, which a frame holds as timedelta64."""
    return leaf.logical is not None and leaf.logical.startswith("time-")


def rounded(bound: Sequence[Bound], frame: pd.DataFrame) -> list[str]:
    """Return a note for each column whose field, a 32-bit float or a decimal, rounds its values."""
    notes = []
    for one in bound:
        column, digits = frame[one.name], one.leaf.decimal
        if digits is not None and digits.precision > _EXACT_DIGITS:
            notes.append(
                f"field '{one.leaf.path}' is a decimal of {digits.precision} digits: the model gets the"
                f" nearest float, which has {_EXACT_DIGITS} of them exactly"
            )
        if column.dtype.kind != "f" or (one.leaf.kind != "float" and digits is None):
            continue
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(over="ignore"):
            single = values.astype(np.float32).astype(np.float64)
        carried = single if digits is None else np.round(values, digits.scale)
        if not np.array_equal(values, carried, equal_nan=True):
            what = "a 32-bit float" if digits is None else f"a decimal of scale {digits.scale}"
            notes.append(
                f"field '{one.leaf.path}' is {what} and rounds column '{one.name}': make it a double,"
                " or allow the difference with --relative-tolerance"
            )
    return notes


def _values(column: pd.Series, leaf: Leaf) -> list[object]:
    convert = _CONVERT[leaf.kind] if leaf.decimal is None else partial(_decimal, leaf.decimal)
    if column.dtype.kind == "M":
        column, convert = raw_instants(column, leaf), int
    elif column.dtype.kind == "m":
        column, convert = raw_durations(column, leaf), int
    null = column.isna().tolist()
    values = column.astype(object).tolist()
    return [
        _null(leaf) if is_null else _in_range(value, leaf, convert)
        for value, is_null in zip(values, null, strict=True)
    ]


def _null(leaf: Leaf) -> object:
    if leaf.nullable:
        return None
    if leaf.kind in {"float", "double"} and leaf.decimal is None:
        return float("nan")
    raise _EmptyCellError("it has an empty value, and the field cannot be null")


def _in_range(value: object, leaf: Leaf, convert: Callable[[Any], object]) -> object:
    """Return `value` as the field stores it. Raises `ValueError` without naming the value."""
    converted = convert(value)
    bits = _INTEGER_BITS.get(leaf.kind)
    if bits is not None and isinstance(converted, int) and not -(1 << bits) <= converted < 1 << bits:
        raise ValueError(f"a value is out of the range of {leaf.kind}")
    return converted


def raw_instants(column: pd.Series, leaf: Leaf) -> pd.Series:
    """Return datetimes as the integers of the field (objects, so that empty cells stay empty)."""
    if not is_instant(leaf):
        raise ValueError("the column holds dates, and the field is not a timestamp")
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    unit = _UNITS.get(str(leaf.logical).rpartition("-")[2])
    present = column.dropna()
    if unit is None:
        raw = present.astype("datetime64[s]").astype("int64") // 86_400
    else:
        raw = present.astype(f"datetime64[{unit}]").astype("int64")
    return raw.astype(object).reindex(column.index)


def raw_durations(column: pd.Series, leaf: Leaf) -> pd.Series:
    """Return durations as the integers of the field (objects, so that empty cells stay empty)."""
    if not is_duration(leaf):
        raise ValueError("the column holds durations, and the field is no time-millis or time-micros")
    unit = _UNITS[str(leaf.logical).removeprefix("time-")]
    raw = column.dropna().astype(f"timedelta64[{unit}]").astype("int64")
    return raw.astype(object).reindex(column.index)


def _decimal(digits: Digits, value: Any) -> Decimal:  # noqa: ANN401 - a cell of the user's frame
    """Return `value` with the digits that the field has after the point."""
    try:
        with localcontext(prec=digits.precision):
            return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits.scale))
    except InvalidOperation:
        raise ValueError(
            f"a value is no decimal of {digits.precision} digits, {digits.scale} of them after the point"
        ) from None


def _integer(value: Any) -> int:  # noqa: ANN401 - a cell of the user's frame
    number = int(value)
    if number != value:
        raise ValueError("a value is not a whole number")
    return number


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a value is {type(value).__name__}, not text")  # noqa: TRY004 - one kind of answer
    return value


def _boolean(value: Any) -> bool:  # noqa: ANN401 - a cell of the user's frame
    if isinstance(value, str) or value not in (0, 1):
        raise ValueError("a value is neither true nor false")
    return bool(value)


_CONVERT: Mapping[str, Callable[[Any], object]] = {
    "int": _integer,
    "long": _integer,
    "float": float,
    "double": float,
    "boolean": _boolean,
    "string": _text,
    "enum": _text,
}


def _event(empty: Event, record: Record, values: Mapping[str, object]) -> Event:
    event = copy.deepcopy(empty)
    for path, value in values.items():
        _put(event, record, path.split("."), value)
    return event


def _put(event: Event, record: Record, steps: Sequence[str], value: object) -> None:
    first, *rest = steps
    if not rest:
        event[first] = value
        return
    inner, _ = without_null(next(field.type for field in record.fields if field.name == first))
    if not isinstance(inner, Record):
        raise TypeError(f"{first} is no record, though it is on the way to a leaf")
    if event[first] is None:
        if value is None:
            return  # the null record around the leaf says it
        event[first] = zero_value(inner)
    _put(event[first], inner, rest, value)


def zero_value(kind: Type) -> Any:  # noqa: ANN401 - a value of any Avro type
    """Return the zero of `kind`: null where it is nullable, else 0, empty, or the first symbol."""
    match kind:
        case Scalar():
            return _ZEROS[kind.kind]
        case Enum():
            return kind.symbols[0]
        case Fixed():
            return b"\0" * kind.size
        case Array():
            return []
        case Map():
            return {}
        case Union():
            return None if any(map(is_null, kind.branches)) else zero_value(kind.branches[0])
        case Record():
            return {
                field.name: zero_value(field.type) if field.default is NO_DEFAULT else field.default
                for field in kind.fields
            }
