"""Casts one column of a sample to the type that it had in training. No cell is changed silently."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream_infer.models.dtypes import Dtype, Family, dtype_of
from stream_infer.models.manifest import Null, Scalar

_NULLS = {"nan": np.nan, "none": None, "na": pd.NA, "nat": pd.NaT}
_DATES = frozenset({"string", "datetime", "datetime64", "date"})


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A dtype as pandas prints it; `categories` and `ordered` are of `category`, `null` is of `object`."""

    dtype: str
    categories: tuple[Scalar, ...] = ()
    ordered: bool = False
    null: Null | None = None


def cast_column(column: pd.Series, kind: ColumnType) -> pd.Series:
    """Return `column` as `kind`; of a category, values that it does not have are null (`unknown_cells`).

    Raises `ValueError` or `TypeError` for a cell that the dtype cannot hold.
    """
    dtype = dtype_of(kind.dtype)
    if dtype is None:
        raise ValueError(f"a column of dtype {kind.dtype} cannot be filled from Avro")
    if dtype.family is Family.CATEGORY:
        target = pd.CategoricalDtype(list(kind.categories), ordered=kind.ordered)
        codes = pd.Categorical.from_codes(_codes(column, kind), dtype=target)
        return pd.Series(codes, column.index, name=column.name)
    if dtype.family is Family.DATETIME:
        return read_dates(column, dtype)
    if dtype.family is Family.TIMEDELTA:
        return pd.to_timedelta(column).astype(kind.dtype)
    if dtype.family is Family.OBJECT:
        return column.astype(object).where(column.notna(), _NULLS[kind.null or "nan"])
    if dtype.family in {Family.INT, Family.MASKED} and column.dtype.kind != "b":
        # By way of the masked integer: numpy cuts fractions off in silence.
        whole = pd.to_numeric(column)
        return (whole if kind.dtype.startswith("Float") else whole.astype("Int64")).astype(kind.dtype)
    if kind.dtype == "str":  # pandas 2 makes the text "nan" of a null
        return column.astype("str").where(column.notna(), np.nan)
    return column.astype(kind.dtype)


def unknown_cells(column: pd.Series, kind: ColumnType) -> NDArray[np.bool_]:
    """Return a mask of the cells that are no category of `kind`, and not empty."""
    mask: NDArray[np.bool_] = column.notna().to_numpy() & (_codes(column, kind) < 0)
    return mask


def _codes(column: pd.Series, kind: ColumnType) -> NDArray[np.intp]:
    """Return the places of cells among the categories, or -1. As in Python, 1, 1.0 and True are equal."""
    places = {value: place for place, value in enumerate(kind.categories)}
    return np.array([places.get(cell, -1) for cell in column.astype(object)], dtype=np.intp)


def are_unread_durations(column: pd.Series) -> bool:
    """Return whether `column` has text alone: where a duration is meant, nothing tells its unit."""
    return bool(column.dtype.kind != "m" and pd.api.types.infer_dtype(column, skipna=True) == "string")


def are_unread_dates(column: pd.Series) -> bool:
    """Return whether `column` has dates as text or as Python's own: nothing tells their unit and zone."""
    return column.dtype.kind != "M" and pd.api.types.infer_dtype(column, skipna=True) in _DATES


def read_dates(column: pd.Series, dtype: Dtype | None = None) -> pd.Series:
    """Return the dates of `column` as `pd.to_datetime` reads them, or in the unit and zone of `dtype`.

    Raises `ValueError` or `TypeError` for a cell that is no date, and for offsets that differ without a zone.
    """
    if dtype is None:
        return _parsed(column)
    read = column if column.dtype.kind == "M" else _parsed(column, utc=dtype.zone is not None)
    if dtype.zone is None:
        if isinstance(read.dtype, pd.DatetimeTZDtype):
            raise ValueError("the dates have an offset from UTC, and the dtype has no time zone")
        return read.astype(f"datetime64[{dtype.unit}]")
    if not isinstance(read.dtype, pd.DatetimeTZDtype):
        read = read.dt.tz_localize("UTC")
    return read.astype(f"datetime64[{dtype.unit}, {dtype.zone}]")


def _parsed(column: pd.Series, *, utc: bool = False) -> pd.Series:
    with warnings.catch_warnings():
        # pandas warns of text in no known form, and then says better what is wrong with it.
        warnings.simplefilter("ignore")
        parsed = pd.to_datetime(column, utc=utc)
    if parsed.dtype.kind != "M":  # pandas 2 keeps objects where pandas 3 raises
        raise ValueError("its cells have different offsets from UTC")
    return parsed


def categories_of(columns: Sequence[pd.Series]) -> tuple[Scalar, ...]:
    """Return the categories of columns of dtype category, in the order of the first of them."""
    every = (value for column in columns for value in column.cat.categories.tolist())
    return tuple(dict.fromkeys(every))


def values_of(columns: Sequence[pd.Series]) -> tuple[Scalar, ...]:
    """Return the values of `columns`, as `astype("category")` orders them."""
    return tuple(pd.concat(columns).astype("category").cat.categories.tolist())
