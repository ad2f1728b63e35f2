"""Fills one column of a frame from an Arrow array: whole arrays only, no loop over cells in Python.

Values that do not fit were removed before (`misfits`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.models.dtypes import DURATION_NS, INSTANT_NS, UNIT_NS, Dtype, Family, dtype_of
from stream_infer.models.manifest import Feature, InputColumn

Cells = Any  # an ndarray or a pandas extension array; pandas has no types here
_Fill = Callable[[pa.Array, Feature, InputColumn, Dtype], Cells]

_NULLS: Mapping[str, Any] = {"nan": np.nan, "none": None, "na": pd.NA, "nat": pd.NaT}


def numbers(array: pa.Array) -> npt.NDArray[Any]:
    """Return `array` as numpy numbers; nulls, if any, are NaN. May share memory and be read-only."""
    if pa.types.is_boolean(array.type):
        # Arrow's own way gives Python objects as soon as there is a null.
        array = pc.cast(array, pa.int8())
    return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return] # pyarrow is untyped


def cells(array: pa.Array, feature: Feature, column: InputColumn) -> Cells:
    """Return the cells of `column` with its dtype and its null."""
    dtype = dtype_of(column.dtype)
    if dtype is None:
        raise TypeError(f"a column of dtype {column.dtype} cannot be filled")
    return _FILLS[dtype.family](array, feature, column, dtype)


def _float(array: pa.Array, feature: Feature, column: InputColumn, dtype: Dtype) -> Cells:
    del feature, dtype
    with np.errstate(over="ignore"):  # too large for float32 is infinite, as it is for the user's own astype
        return numbers(array).astype(column.dtype, copy=False)


def _int(array: pa.Array, feature: Feature, column: InputColumn, dtype: Dtype) -> Cells:
    del feature, dtype
    return numbers(array).astype(column.dtype, copy=False)


def _bool(array: pa.Array, feature: Feature, column: InputColumn, dtype: Dtype) -> Cells:
    del feature, column, dtype
    return array.to_numpy(zero_copy_only=False)


def _extension(array: pa.Array, feature: Feature, column: InputColumn, dtype: Dtype) -> Cells:
    del feature, dtype
    target = pd.api.types.pandas_dtype(column.dtype)
    if isinstance(target, pd.ArrowDtype):
        return target.__from_arrow__(_numeric(array).cast(target.pyarrow_dtype, safe=False))
    if isinstance(target, pd.StringDtype):
        return target.__from_arrow__(array)
    return target.__from_arrow__(pc.cast(array, pa.from_numpy_dtype(target.numpy_dtype)))


def _numeric(array: pa.Array) -> pa.Array:
    return pc.cast(array, pa.int8()) if pa.types.is_boolean(array.type) else array


def _object(array: pa.Array, feature: Feature, column: InputColumn, dtype: Dtype) -> Cells:
    del feature, dtype
    null = _NULLS.get(column.null or "none")
    if pa.types.is_boolean(array.type):
        # The objects are few: look them up instead of making each.
        out = np.array([False, True, null], dtype=object)[pc.cast(array, pa.int8()).fill_null(2).to_numpy()]
    elif pa.types.is_string(array.type):
        out = array.to_numpy(zero_copy_only=False)
    else:
        out = np.empty(len(array), dtype=object)
        out[:] = array.to_pylist()
    if array.null_count and null is not None:
        out = np.where(array.is_valid().to_numpy(zero_copy_only=False), out, null)
    # As a Series: a frame made of a bare array of objects that are strings would infer dtype str (pandas 3).
    return pd.Series(out, dtype=object, copy=False)


def _category(array: pa.Array, feature: Feature, column: InputColumn, dtype: Dtype) -> Cells:
    del feature, dtype
    known = pa.array(column.categories)
    index = pc.index_in(pc.cast(array, known.type), value_set=known)
    # A value that is not a category is null, as in pandas with these categories.
    target = pd.CategoricalDtype(list(column.categories or ()), ordered=column.ordered)
    return pd.Categorical.from_codes(index.fill_null(-1).to_numpy(), dtype=target)


def _datetime(array: pa.Array, feature: Feature, column: InputColumn, dtype: Dtype) -> Cells:
    del column
    out = _steps(array, INSTANT_NS[feature.logical or ""], dtype.unit).view(f"datetime64[{dtype.unit}]")
    if dtype.zone is None:
        return out
    return pd.DatetimeIndex(out).tz_localize("UTC").tz_convert(dtype.zone)


def _timedelta(array: pa.Array, feature: Feature, column: InputColumn, dtype: Dtype) -> Cells:
    del column
    out = _steps(array, DURATION_NS[feature.logical or ""], dtype.unit)
    return out.view(f"timedelta64[{dtype.unit}]")


def _steps(array: pa.Array, given_ns: int, unit: str) -> npt.NDArray[np.int64]:
    """Return the times of `array` in steps of `unit`, with NaT's integer where they are null."""
    target_ns = UNIT_NS[unit]
    given = pc.cast(array, pa.int64()).fill_null(0).to_numpy()
    steps = given * (given_ns // target_ns) if given_ns >= target_ns else given // (target_ns // given_ns)
    if array.null_count:
        steps[array.is_null().to_numpy(zero_copy_only=False)] = np.iinfo(np.int64).min
    return steps  # type: ignore[no-any-return] # pyarrow is untyped


_FILLS: Mapping[Family, _Fill] = {
    Family.FLOAT: _float,
    Family.INT: _int,
    Family.BOOL: _bool,
    Family.TEXT: _extension,
    Family.MASKED: _extension,
    Family.ARROW: _extension,
    Family.OBJECT: _object,
    Family.CATEGORY: _category,
    Family.DATETIME: _datetime,
    Family.TIMEDELTA: _timedelta,
}
