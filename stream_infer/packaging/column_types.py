"""Gives the columns of the samples the types that the model was trained on.

A file rarely keeps them: CSV has text and numbers only, Parquet turns a category of integers into integers,
and a sample of a few rows has a few categories. `--dtype`, the model, the reference and the sample decide, in
this order. Where the model's answers depend on a type that nothing tells, there is no package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from stream_infer.avro.schemas import Leaf
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.dtypes import Family, dtype_of
from stream_infer.models.known_categories import KnownCategories, known_categories
from stream_infer.models.manifest import Scalar
from stream_infer.packaging import casting
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.casting import ColumnType
from stream_infer.packaging.inputs import Samples
from stream_infer.packaging.options import listed
from stream_infer.packaging.unsettled import settle

_TEXTS = frozenset({"string", "enum"})
_ENOUGH = 200
"""Numbers that tell whether a column was one of 32-bit floats."""


@dataclass(frozen=True, slots=True)
class Typed:
    """Samples with the types of the training data, what the model knows of its columns, and notes."""

    samples: Samples
    known: Mapping[str, KnownCategories]
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Told:
    """Problems and notes as they are found."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self) -> None:
        if self.problems:
            raise Misconfigured(self.problems)


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of the model: its samples, golden first, and what the model knows of it."""

    bound: Bound
    samples: Sequence[pd.Series]
    known: KnownCategories | None

    @property
    def name(self) -> str:
        return self.bound.name

    def of_dtype(self, kind: type) -> list[pd.Series]:
        """Return the samples with a dtype of `kind`, the reference first: it has seen more."""
        return [one for one in reversed(self.samples) if isinstance(one.dtype, kind)]


def give_types(
    estimator: Any,  # noqa: ANN401 - any estimator
    columns: Sequence[Bound],
    samples: Samples,
    chosen: Mapping[str, str],
) -> Typed:
    """Return `samples` with the types that `estimator` was trained on.

    `chosen` is column -> dtype of --dtype. Raises `Misconfigured` with every column whose type is unknown and
    matters, or contradicts the model.
    """
    told = _Told()
    names = [one.name for one in columns]
    known = known_categories(estimator, names)
    found = [
        _Column(one, [frame[one.name] for frame in samples.frames()], known.get(one.name)) for one in columns
    ]
    types: dict[str, ColumnType] = {}
    for one in found:
        decided = _chosen(one, chosen[one.name], told) if one.name in chosen else _decided(one, told)
        if decided is not None:
            types[one.name] = decided
    told.check()
    typed = _cast(samples, types, told)
    told.check()
    unsettled = [one.bound for one in found if one.name not in types]
    settled = settle(estimator, typed, names, unsettled)
    return Typed(settled.samples, known, (*told.notes, *settled.notes))


def _chosen(column: _Column, dtype: str, told: _Told) -> ColumnType | None:
    read = dtype_of(dtype)
    if read is None:
        fix = "give a dtype as pandas prints it: float64, Int64, str, category, datetime64[ns, Europe/Berlin]"
        what = f"a column of dtype {dtype} cannot be filled from events"
        told.problems.append(Problem("--dtype", f"{column.name}={dtype}", what, fix))
        return None
    if read.family is Family.CATEGORY:
        return _category(column, told) or ColumnType(dtype, casting.values_of(column.samples))
    return ColumnType(dtype, null=column.known.null if column.known else None)


def _decided(column: _Column, told: _Told) -> ColumnType | None:
    """Return the type of `column`, or None where it stays as it was read."""
    known = column.known
    if column.of_dtype(pd.CategoricalDtype) or (known is not None and known.native):
        return _category(column, told)
    dates = column.of_dtype(pd.DatetimeTZDtype) or [one for one in column.samples if one.dtype.kind == "M"]
    if dates:
        return ColumnType(str(dates[0].dtype))
    if known is None:
        return _single(column, told) if _from_float32(column) else None
    _check_values(column, known.known, told)
    # An encoder tells None from NaN; no file does.
    objects = any(one.dtype.kind == "O" for one in column.samples)
    if known.null == "none" or (known.null == "nan" and objects):
        return ColumnType("object", null=known.null)
    return None


def _single(column: _Column, told: _Told) -> ColumnType:
    told.notes.append(
        f"column '{column.name}' is read as float32, because its field is a float and each of its numbers is"
        f" the text of one; if it was trained as float64: --dtype '{column.name}=float64'"
    )
    return ColumnType("float32")


def _from_float32(column: _Column) -> bool:
    """Return whether `column` was 32-bit floats before they were text: each has the text of such a float."""
    golden = column.samples[0]
    if column.bound.leaf.kind != "float" or any(one.dtype != np.float64 for one in column.samples):
        return False
    doubles = golden.dropna().head(_ENOUGH).to_numpy()
    with np.errstate(over="ignore"):
        texts = doubles.astype(np.float32).astype(str)
    return bool((texts.astype(np.float64) == doubles).all())


def _category(column: _Column, told: _Told) -> ColumnType | None:
    """Return dtype category with the categories of the model, else with those of the samples."""
    samples, known = column.of_dtype(pd.CategoricalDtype), column.known
    ordered = bool(samples and samples[0].cat.ordered)
    if known is not None and known.native and known.known:
        categories = _of_field(known.known, column.bound.leaf)
    elif samples:
        more = () if known is None else known.known
        categories = tuple(dict.fromkeys((*casting.categories_of(samples), *more)))
    elif len(column.samples) > 1:
        categories = casting.values_of(list(reversed(column.samples)))
    elif known is not None:
        what = f"column '{column.name}' is a category whose values the model does not keep: it has codes only"
        fix = "give the training data as --reference: its values, in their order, are the categories"
        told.problems.append(Problem("--golden", column.name, what, fix))
        return None
    else:
        return None
    if known is None or not known.known:
        told.notes.append(
            f"the categories of '{column.name}' are those of the samples ({listed(map(str, categories))}),"
            " because the model does not tell its own; if one is missing, give --reference"
        )
    _check_values(column, categories, told)
    return ColumnType("category", categories, ordered)


def _of_field(values: tuple[Scalar, ...], leaf: Leaf) -> tuple[Scalar, ...]:
    """Return `values` as events have them: histogram boosting keeps booleans as numbers."""
    truths = leaf.kind == "boolean" and all(value in (0, 1) for value in values)
    return tuple(map(bool, values)) if truths else values


def _check_values(column: _Column, values: Sequence[Scalar], told: _Told) -> None:
    """Report values of the model that the event's field can never have."""
    leaf, texts = column.bound.leaf, sum(isinstance(value, str) for value in values)
    if texts and leaf.kind not in _TEXTS:
        kind = "text"
    elif texts < len(values) and leaf.kind in _TEXTS:
        kind = "numbers"
    else:
        return
    what = (
        f"the model knows the values of column '{column.name}' as {kind} ({listed(map(repr, values), 4)}),"
        f" and field '{leaf.path}' is {leaf.kind}"
    )
    fix = f"make the field's type that of the training data, or train on the column as {leaf.kind}"
    told.problems.append(Problem("--schema", leaf.path, what, fix))


def _cast(samples: Samples, types: Mapping[str, ColumnType], told: _Told) -> Samples:
    return replace(
        samples,
        golden=_cast_frame("--golden", samples.golden, types, told),
        reference=None
        if samples.reference is None
        else _cast_frame("--reference", samples.reference, types, told),
    )


def _cast_frame(
    option: str, frame: pd.DataFrame, types: Mapping[str, ColumnType], told: _Told
) -> pd.DataFrame:
    unknown = np.zeros(len(frame), dtype=np.bool_)
    cast = {}
    for name, kind in types.items():
        try:
            cast[name] = casting.cast_column(frame[name], kind)
        except (ValueError, TypeError, OverflowError) as error:
            what = f"column '{name}' ({frame[name].dtype}) cannot be read as {kind.dtype}: {error}"
            fix = f"give another dtype: --dtype '{name}=...', or other rows"
            told.problems.append(Problem(option, name, what, fix))
        if kind.dtype == "category":
            cells = casting.unknown_cells(frame[name], kind)
            unknown |= cells
            if cells.any():
                shown = listed(sorted({str(value) for value in frame[name][cells]}), 3)
                told.notes.append(
                    f"{int(cells.sum())} rows of {option} are left out: the model does not know their"
                    f" '{name}' ({shown})"
                )
    if unknown.all():
        fix = "give rows with the values that the model was trained on, of the same type"
        told.problems.append(Problem(option, "", "no row has categories that the model knows", fix))
    return frame.assign(**cast)[~unknown]
