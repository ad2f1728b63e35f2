"""Builds the frame that the model was trained on from Arrow columns: same dtypes, nulls and order.

`column_fill` fills one column; `dtypes` lists the dtypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.column_fill import cells, numbers
from stream_infer.models.dtypes import Family, dtype_of, mismatch
from stream_infer.models.manifest import InputColumn, Manifest, ModelInput, Null, Scalar
from stream_infer.models.misfits import Rows, misfit_rows

Columns = Mapping[str, pa.Array]
Frame: TypeAlias = npt.NDArray[np.float64] | pd.DataFrame | pd.Series
READ_TEXT = str(pd.Series(["text"]).dtype)
"""The dtype of text that pandas reads from a file: "str" since pandas 3, "object" before."""


class MisfitError(ValueError):
    """`build_frame` was given a value that its column cannot hold; `misfits` names the rows."""


def describe_input(frame: npt.NDArray[np.float64] | pd.DataFrame, kinds: Mapping[str, str]) -> ModelInput:
    """Return the description of `frame`, which the model was trained on.

    `kinds` maps each column, in order, to the Avro kind of its leaf. A sample of a CSV may happen to hold
    whole numbers only where the leaf is a float, or nothing at all where it is a string: such columns become
    float64 and `READ_TEXT`. Raises `Refused` for a frame that no event can fill.
    """
    if isinstance(frame, np.ndarray):
        return _observe_matrix(frame, kinds)
    names = list(frame.columns)
    if names != list(kinds):
        raise Refused(RefusalCode.CONTAINER, f"the frame's columns are {names}, not {list(kinds)}")
    return ModelInput("pandas", tuple(_observe_column(frame[name], kinds[name]) for name in names))


def unsupported(manifest: Manifest) -> str | None:
    """Return why no frame can be assembled for `manifest`, or None."""
    matrix = manifest.container.kind == "ndarray"
    for feature, column in zip(manifest.features, manifest.container.columns, strict=True):
        if matrix and column.dtype != "float64":
            return f"feature {feature.name!r}: an ndarray holds float64, not {column.dtype}"
        reason = mismatch(feature, column)
        if reason is not None:
            return reason
    return None


def misfits(columns: Columns, manifest: Manifest) -> Mapping[str, Rows]:
    """Return feature name -> rows, ascending, whose value its column cannot hold; the others are absent.

    A long beyond 2^53 for a float64, a number out of range for a smaller integer, an instant out of range for
    its unit, a null where the column has none. Such rows are rejected, never rounded.
    """
    found: dict[str, Rows] = {}
    for feature, column in zip(manifest.features, manifest.container.columns, strict=True):
        rows = misfit_rows(columns[feature.source], feature, column)
        if len(rows):
            found[feature.name] = rows
    return found


def build_frame(columns: Columns, manifest: Manifest) -> Frame:
    """Return the frame for `predict`: one row per event, features in order, dtype and null per column.

    Raises `MisfitError` when `misfits` finds any.
    """
    wrong = misfits(columns, manifest)
    if wrong:
        raise MisfitError(f"values that their columns cannot hold: {', '.join(wrong)}")
    features, container = manifest.features, manifest.container
    if container.kind == "ndarray":
        matrix = np.empty((len(columns[features[0].source]), len(features)))
        for index, feature in enumerate(features):
            matrix[:, index] = numbers(columns[feature.source])
        return matrix
    names = [column.name for column in container.columns]
    if container.kind == "pandas" and all(column.dtype == "float64" for column in container.columns):
        # One block, laid out as pandas lays out what it read from a file: the order of sums in a linear model
        # depends on it, and so does the last bit of its answers.
        block = np.empty((len(features), len(columns[features[0].source])))
        for index, feature in enumerate(features):
            block[index] = numbers(columns[feature.source])
        return pd.DataFrame(block.T, columns=names, copy=False)
    pairs = zip(features, container.columns, strict=True)
    frame = pd.DataFrame(
        {feature.name: cells(columns[feature.source], feature, column) for feature, column in pairs}
    )
    return frame[names[0]] if container.kind == "series" else frame


def _observe_matrix(frame: npt.NDArray[np.float64], kinds: Mapping[str, str]) -> ModelInput:
    if frame.ndim != 2 or frame.shape[1] != len(kinds) or frame.dtype.kind not in "biuf":  # noqa: PLR2004 - rows and columns
        raise Refused(
            RefusalCode.CONTAINER,
            f"an array of dtype {frame.dtype} and shape {frame.shape} is not (rows, {len(kinds)}) of numbers",
        )
    return ModelInput("ndarray", tuple(InputColumn(name, "float64", "nan") for name in kinds))


def _observe_column(series: pd.Series, kind: str) -> InputColumn:
    name, printed = str(series.name), str(series.dtype)
    dtype = dtype_of(printed)
    if dtype is None:
        raise Refused(RefusalCode.CONTAINER, f"column {name!r}: dtype {printed} cannot be filled from Avro")
    if dtype.family is Family.INT and kind in {"float", "double"}:
        return InputColumn(name, "float64", "nan")
    if dtype.family is Family.FLOAT and kind in {"string", "enum"} and series.isna().all():
        return InputColumn(name, READ_TEXT, "nan")
    if dtype.family is Family.OBJECT:
        return InputColumn(name, printed, _observe_null(series))
    if dtype.family is Family.CATEGORY:
        categories: tuple[Scalar, ...] = tuple(series.cat.categories.tolist())
        return InputColumn(name, printed, dtype.null, categories, bool(series.cat.ordered))
    return InputColumn(name, printed, dtype.null)


def _observe_null(series: pd.Series) -> Null | None:
    """Return the null of a column of objects: the model sees exactly that object."""
    spellings: set[Null] = {_spelling(value) for value in series[series.isna()]}
    if len(spellings) > 1:
        raise Refused(
            RefusalCode.CONTAINER,
            f"column {series.name!r} has several kinds of null: {sorted(spellings)}",
        )
    return next(iter(spellings), None)


def _spelling(value: object) -> Null:
    if value is None:
        return "none"
    if value is pd.NA:
        return "na"
    return "nat" if value is pd.NaT else "nan"
