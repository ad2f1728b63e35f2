"""One Arrow column as a field of an event: the types that fit, the conversion, and the cells that do not fit.

Whole columns are cast. Only where a cast fails are cells looked at one by one, to name the rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.avro.resolve import ARROW
from stream_infer.avro.schemas import Leaf
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.steps.scoring import table_times
from stream_infer.steps.scoring.table_cells import CellFault, Convert, Converted, PlainNumbers

_EXACT = 2**53
_WHOLE = frozenset({"int", "long"})
_REAL = frozenset({"float", "double"})
_NULL = "is null, and the schema does not allow that"
_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")


def column_converter(
    leaf: Leaf, kind: pa.DataType, symbols: Sequence[str] | None, numbers: PlainNumbers | None
) -> Convert | None:
    """Return how a column of type `kind` becomes the field `leaf`, or None where it never does.

    With `numbers` the column is text that stands for the values, as in a CSV file.
    """
    if pa.types.is_dictionary(kind):
        inner = column_converter(leaf, kind.value_type, symbols, numbers)
        return None if inner is None else partial(_decoded, inner, kind.value_type)
    plain = _plain(leaf, kind, symbols, numbers)
    return None if plain is None else partial(_checked, plain, leaf)


def _plain(
    leaf: Leaf, kind: pa.DataType, symbols: Sequence[str] | None, numbers: PlainNumbers | None
) -> Convert | None:
    target = ARROW[leaf.kind]
    if pa.types.is_null(kind):
        return partial(_cast, target=target)
    if _is_text(kind):
        if leaf.kind in {"string", "enum"}:
            return partial(_text, symbols=symbols)
        return None if numbers is None else partial(_parsed, leaf=leaf, numbers=numbers)
    if pa.types.is_temporal(kind):
        return table_times.time_converter(leaf, kind)
    if leaf.kind == "boolean":
        return partial(_cast, target=target) if pa.types.is_boolean(kind) else None
    if leaf.kind in _REAL:
        return _real(kind, target)
    if leaf.kind in _WHOLE and pa.types.is_integer(kind):
        return partial(_whole, target=target)
    if leaf.kind in _WHOLE and pa.types.is_floating(kind):
        return partial(_whole_of_real, target=target)
    return None


def _real(kind: pa.DataType, target: pa.DataType) -> Convert | None:
    if pa.types.is_integer(kind):
        return partial(_real_of_whole, target=target)
    if pa.types.is_floating(kind):
        return partial(_cast, target=target)
    if pa.types.is_decimal(kind):  # by way of text: a cast of Arrow's is not always the nearest double
        return lambda column: Converted(column.cast(pa.string()).cast(target))
    return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _checked(convert: Convert, leaf: Leaf, column: pa.Array) -> Converted:
    """Convert, and take care of nulls: NaN where a number may not be null, as pandas has it."""
    converted = convert(column)
    if leaf.nullable or not column.null_count:
        return converted
    if leaf.kind in _REAL and leaf.decimal is None:
        filled = pc.if_else(column.is_null(), pa.scalar(math.nan, converted.column.type), converted.column)
        return Converted(filled, converted.faults)
    rows = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    return Converted(converted.column, [CellFault(rows, DeadLetterClass.INVALID, _NULL), *converted.faults])


def _decoded(convert: Convert, kind: pa.DataType, column: pa.Array) -> Converted:
    return convert(column.cast(kind))


def _cast(column: pa.Array, target: pa.DataType) -> Converted:
    return Converted(column if column.type == target else column.cast(target, safe=False))


def _whole(column: pa.Array, target: pa.DataType) -> Converted:
    try:
        return Converted(column.cast(target))
    except pa.ArrowInvalid:
        values = np.asarray(column.fill_null(0))
        info = np.iinfo(target.to_pandas_dtype())
        return _faulty(
            column, (values < info.min) | (values > info.max), target, "is out of the field's range"
        )


def _whole_of_real(column: pa.Array, target: pa.DataType) -> Converted:
    try:
        return Converted(column.cast(target))
    except pa.ArrowInvalid:
        values = np.asarray(column.cast(pa.float64()).fill_null(0))
        info = np.iinfo(target.to_pandas_dtype())
        with np.errstate(invalid="ignore"):
            bad = ~(np.floor(values) == values) | (values < info.min) | (values >= float(info.max) + 1)
        return _faulty(column, bad, target, "is not a whole number of the field's range")


def _real_of_whole(column: pa.Array, target: pa.DataType) -> Converted:
    bounds = pc.min_max(column)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    if low is None or (low >= -_EXACT and high <= _EXACT):
        return Converted(column.cast(target, safe=False))
    values = np.asarray(column.fill_null(0))
    message = "is beyond 2^53, where a float is not exact"
    rows = np.flatnonzero((values > _EXACT) | (values < -_EXACT))
    fault = CellFault(rows, DeadLetterClass.OUT_OF_PRECISION, message)
    return Converted(column.cast(target, safe=False), [fault])


def _faulty(column: pa.Array, bad: np.ndarray, target: pa.DataType, message: str) -> Converted:
    kept = pc.if_else(pa.array(bad), pa.scalar(None, column.type), column)
    fault = CellFault(np.flatnonzero(bad), DeadLetterClass.INVALID, message)
    return Converted(kept.cast(target), [fault])


def _text(column: pa.Array, symbols: Sequence[str] | None) -> Converted:
    faults = []
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        column, fault = _readable(column)
        faults.append(fault)
    column = column if column.type == pa.string() else column.cast(pa.string())
    if symbols is not None:
        unknown = pc.and_(column.is_valid(), pc.invert(pc.is_in(column, pa.array(symbols, pa.string()))))
        if unknown.true_count:
            rows = np.flatnonzero(unknown.to_numpy(zero_copy_only=False))
            faults.append(CellFault(rows, DeadLetterClass.INVALID, "is not a symbol of the enum"))
    return Converted(column, faults)


def _readable(column: pa.Array) -> tuple[pa.Array, CellFault]:
    """Return `column` with null in place of what is not UTF-8, and the rows."""
    values: list[str | None] = []
    bad = []
    for row, cell in enumerate(column.cast(pa.large_binary()).to_pylist()):
        try:
            values.append(None if cell is None else cell.decode())
        except UnicodeDecodeError:
            values.append(None)
            bad.append(row)
    fault = CellFault(np.asarray(bad, np.intp), DeadLetterClass.INVALID_UTF8, "is not UTF-8")
    return pa.array(values, pa.string()), fault


def _parsed(column: pa.Array, leaf: Leaf, numbers: PlainNumbers) -> Converted:
    """Return text as numbers, booleans or times; a cell that is none of them is a fault."""
    target = ARROW[leaf.kind]
    if leaf.kind == "boolean":
        return _parsed_booleans(column)
    if leaf.logical is not None and leaf.decimal is None:
        return table_times.parsed(column, leaf)
    column = numbers(column)
    try:
        # Arrow takes 0x1F for a whole number, which Python and pandas do not.
        if leaf.kind not in _WHOLE or not pc.any(pc.match_substring_regex(column, "[xX]")).as_py():
            return Converted(column.cast(target))
    except pa.ArrowInvalid:
        pass
    number = partial(_number, whole=leaf.kind in _WHOLE, bits=target.bit_width)
    cells = [None if cell is None else number(cell) for cell in column.to_pylist()]
    bad = [
        row
        for row, (cell, was) in enumerate(zip(cells, column.is_valid().to_pylist(), strict=True))
        if was and cell is None
    ]
    rows = np.asarray(bad, np.intp)
    message = "is not a whole number of its range" if leaf.kind in _WHOLE else "is not a number"
    return Converted(pa.array(cells, target), [CellFault(rows, DeadLetterClass.INVALID, message)])


def _number(text: str, *, whole: bool, bits: int) -> int | float | None:
    if "_" in text:  # Python takes 1_000, pandas does not
        return None
    try:
        number: int | float = int(text) if whole else float(text)
    except ValueError:
        if not whole:
            return None
        real = _number(text, whole=False, bits=bits)
        if real is None or real != real // 1:
            return None
        number = int(real)
    if whole and not -(1 << bits - 1) <= number < 1 << bits - 1:
        return None
    return number


def _parsed_booleans(column: pa.Array) -> Converted:
    lower = pc.utf8_lower(column)
    true = pc.is_in(lower, pa.array(_TRUE))
    known = pc.or_(true, pc.is_in(lower, pa.array(_FALSE)))
    bad = np.flatnonzero(pc.and_(column.is_valid(), pc.invert(known)).to_numpy(zero_copy_only=False))
    values = pc.if_else(column.is_null(), pa.scalar(None, pa.bool_()), true)
    if not len(bad):
        return Converted(values)
    return Converted(values, [CellFault(bad, DeadLetterClass.INVALID, "is neither true nor false")])
