"""Finds values that a column cannot hold: too large to be exact, out of range, null where it allows none."""

from __future__ import annotations

from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.models.dtypes import DURATION_NS, INSTANT_NS, UNIT_NS, Family, dtype_of
from stream_infer.models.manifest import Feature, InputColumn

Rows = npt.NDArray[np.int64]

_EXACT = 2**53  # beyond it a float64 skips integers
_INT64_MAX = 2**63 - 1  # its negative is the smallest that is not NaT
_NONE: Rows = np.empty(0, dtype=np.int64)


def misfit_rows(array: pa.Array, feature: Feature, column: InputColumn) -> Rows:
    """Return the rows of `array` that `column` cannot hold, ascending."""
    nulls = array.is_null() if column.null is None and array.null_count else None
    odd = _odd(array, feature, column) if pa.types.is_integer(array.type) else None
    if nulls is None and odd is None:
        return _NONE
    masks = [
        mask.fill_null(False).to_numpy(zero_copy_only=False) for mask in (nulls, odd) if mask is not None
    ]
    return np.flatnonzero(np.logical_or.reduce(masks))


def _odd(array: pa.Array, feature: Feature, column: InputColumn) -> pa.Array | None:
    """Return a mask of the integers that `column` cannot hold, or None when it holds all of them."""
    low, high = _bounds(feature, column)
    step = _coarseness(feature, column)
    given = np.iinfo(array.type.to_pandas_dtype())
    if low <= given.min and given.max <= high and step == 1:
        return None
    extremes = pc.min_max(array)
    least, most = extremes["min"].as_py(), extremes["max"].as_py()
    if least is None:
        return None
    masks = []
    if least < low or most > high:
        numbers = pc.cast(array, pa.int64())
        masks += [pc.less(numbers, pa.scalar(max(low, -_INT64_MAX), pa.int64()))] if least < low else []
        masks += [pc.greater(numbers, pa.scalar(min(high, _INT64_MAX), pa.int64()))] if most > high else []
    if step > 1:
        masks.append(pc.not_equal(pc.multiply(pc.divide(array, step), step), array))
    return reduce(pc.or_, masks) if masks else None


def _bounds(feature: Feature, column: InputColumn) -> tuple[int, int]:
    dtype = dtype_of(column.dtype)
    family = None if dtype is None else dtype.family
    name = column.dtype.removesuffix("[pyarrow]").lower()
    if name.startswith(("float", "double")):
        return -_EXACT, _EXACT
    if family in {Family.INT, Family.MASKED, Family.ARROW} and "int" in name:
        limits = np.iinfo(name)
        return int(limits.min), int(limits.max)
    if dtype is not None and dtype.unit:
        furthest = _INT64_MAX // max(1, _nanoseconds(feature) // UNIT_NS[dtype.unit])
        return -furthest, furthest
    return -_INT64_MAX - 1, _INT64_MAX


def _coarseness(feature: Feature, column: InputColumn) -> int:
    dtype = dtype_of(column.dtype)
    if dtype is None or not dtype.unit:
        return 1
    return max(1, UNIT_NS[dtype.unit] // _nanoseconds(feature))


def _nanoseconds(feature: Feature) -> int:
    return {**INSTANT_NS, **DURATION_NS}[feature.logical or ""]
