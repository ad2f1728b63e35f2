"""From the columns of a reader of bytes to columns of numbers: decimals, and unions of numbers.

A decimal becomes the nearest double, which has 15 of its digits exactly. A whole number of a union with
floats becomes a double too, and is refused beyond 2^53, where doubles skip some.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.avro.pyruhvro_schema import RAW, name

NUMBER = pa.struct([("whole", pa.int64()), ("real", pa.float64())])
"""A value of a union of numbers: one of the two, or neither where it is null."""

MAX_DECIMAL_BYTES = 128
"""A longer decimal is beyond the range of a double."""

_EXACT = 2**53
_WORD_BYTES = 8
_EXACT_SCALE = 22  # 10^22 is a double, 10^23 is none


def unwrapped(column: pa.Array) -> pa.Array:
    """Return `column` of pyruhvro without what stands around its values: raw bytes, branches of a union."""
    if pa.types.is_union(column.type):
        if column.type.num_fields > 1:
            return _numbers(column)
        return unwrapped(pc.struct_field(column.field(0), name(0)))
    if pa.types.is_struct(column.type) and column.type.get_field_index(RAW) == 0:
        return pc.struct_field(column, RAW)
    return column


def unwrapped_field(records: pa.StructArray, name: str) -> pa.Array:
    """Return the field `name` of `records` without what stands around its values, null where the record is.

    Arrow ends the process when it is asked for a union in records of which some are null (26.0).
    """
    if not records.null_count:
        return unwrapped(records.field(name))
    if not pa.types.is_union(records.type.field(name).type):
        return unwrapped(pc.struct_field(records, name))
    column = unwrapped(records.field(name))
    return pc.if_else(records.is_valid(), column, pa.scalar(None, column.type))


def as_number(value: object) -> object:
    """Return a value of a union of numbers, as the strict reader has it, in the form of `NUMBER`."""
    return None if value is None else {"whole" if isinstance(value, int) else "real": value}


def whole_numbers(column: pa.Array) -> pa.Array:
    """Return a column of `NUMBER` as integers."""
    return pc.struct_field(column, "whole")


def real_numbers(column: pa.Array) -> tuple[pa.Array, pa.BooleanArray]:
    """Return a column of `NUMBER` as doubles, and a mask of the whole numbers that none of them holds."""
    whole, real = pc.struct_field(column, "whole"), pc.struct_field(column, "real")
    inexact = pc.fill_null(pc.or_(pc.less(whole, -_EXACT), pc.greater(whole, _EXACT)), fill_value=False)
    return pc.coalesce(real, pc.cast(whole, pa.float64(), safe=False)), inexact


def decimal_numbers(column: pa.BinaryArray, scale: int) -> tuple[pa.Array, pa.BooleanArray]:
    """Return big-endian integers / 10^scale as the nearest doubles, and a mask of those that are too long."""
    starts, lengths, data = _bytes_of(column)
    short = lengths <= _WORD_BYTES
    whole = _words(starts, np.where(short, lengths, 0), data)
    exact = short & (np.abs(whole) <= _EXACT) & (scale <= _EXACT_SCALE)
    numbers = whole / 10.0 ** min(scale, _EXACT_SCALE)
    too_long = lengths > MAX_DECIMAL_BYTES
    for row in np.flatnonzero(~exact & ~too_long).tolist():
        # Python divides integers of any size to the nearest double.
        value = data[starts[row] : starts[row] + lengths[row]].tobytes()
        numbers[row] = int.from_bytes(value, "big", signed=True) / 10**scale
    null = column.is_null().to_numpy(zero_copy_only=False)
    return pa.array(numbers, mask=null), pa.array(too_long & ~null)


def _numbers(union: pa.UnionArray) -> pa.Array:
    """Return the branches of a sparse union as one column of `NUMBER`."""
    branches = [union.field(index) for index in range(union.type.num_fields)]
    values = [pc.struct_field(branch, name(0)) for branch in branches if pa.types.is_struct(branch.type)]
    whole = [value for value in values if pa.types.is_integer(value.type)]
    real = [value.cast(pa.float64()) for value in values if pa.types.is_floating(value.type)]
    columns = [
        pc.coalesce(*some) if some else pa.nulls(len(union), kind.type)
        for some, kind in ((whole, NUMBER.field("whole")), (real, NUMBER.field("real")))
    ]
    return pa.StructArray.from_arrays(columns, fields=list(NUMBER))


def _bytes_of(
    column: pa.BinaryArray,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Return start and length of each value, and the bytes of all of them."""
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    held = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return ends[:-1], np.diff(ends), held


def _words(
    starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> npt.NDArray[np.int64]:
    """Return big-endian integers of up to eight bytes; those without a byte are 0."""
    whole = np.zeros(len(starts), np.int64)
    for place in range(int(lengths.max(initial=0))):
        here = np.flatnonzero(lengths > place)
        byte = data[starts[here] + place].astype(np.int64)
        if place == 0:
            whole[here] = byte.astype(np.int8)  # the first byte has the sign
        else:
            whole[here] = whole[here] << 8 | byte
    return whole
