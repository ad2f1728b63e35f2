"""The categories that a fitted model knows, by the column of its input.

Read by duck typing: encoders of scikit-learn wherever pipelines hide them, histogram boosting, LightGBM, and
XGBoost. A step that may change values or columns ends the search below it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd
from sklearn.impute import SimpleImputer

from stream_infer.models.manifest import Null, Scalar


@dataclass(frozen=True, slots=True)
class KnownCategories:
    """The values of one column that a model knows (`known`), in its own order and type, without null.

    `null` is the null that it knows as a value. `native`: it reads a column of dtype category. `refuses`: it
    raises for any other value; else it has an answer for unknown ones. A native model without `known` keeps
    codes only (XGBoost before 3.1): the order of the training data is needed.
    """

    known: tuple[Scalar, ...]
    null: Null | None = None
    native: bool = False
    refuses: bool = False


class _Found(NamedTuple):
    column: str
    known: KnownCategories


_Names = Sequence[str]
_Part = Any  # an estimator, or anything within one
_Search = Iterator[_Found]
_WRAPPED = ("best_estimator_", "estimator_", "regressor_", "classifier_", "estimator")
_SEVERAL = ("estimators_", "calibrated_classifiers_")


def known_categories(estimator: _Part, names: Sequence[str]) -> Mapping[str, KnownCategories]:
    """Return what `estimator` knows of the columns `names` of its input; other columns are absent."""
    merged: dict[str, KnownCategories] = {}
    for column, known in _search(estimator, list(names)):
        merged[column] = known if column not in merged else _merged(merged[column], known)
    return merged


def _merged(one: KnownCategories, other: KnownCategories) -> KnownCategories:
    if one.refuses != other.refuses:
        values = one.known if one.refuses else other.known
    elif one.refuses:
        values = tuple(value for value in one.known if value in other.known)
    else:
        values = tuple(dict.fromkeys((*one.known, *other.known)))
    return KnownCategories(
        values, one.null or other.null, one.native or other.native, one.refuses or other.refuses
    )


def _search(part: _Part, names: _Names) -> _Search:
    """Yield what `part`, which reads the columns `names`, knows."""
    for attribute, look in _LOOKS.items():
        found = getattr(part, attribute, None)
        if found is not None and not isinstance(part, type):
            yield from look(part, found, names)
            return
    for attribute in _SEVERAL:
        several = list(_flat(getattr(part, attribute, ())))
        # Parts that read a choice of the columns are not searched; trees have nothing to find.
        if several and not hasattr(part, "estimators_features_") and not hasattr(several[0], "tree_"):
            for inner in several:
                yield from _search(inner, names)
        if several:
            return
    for attribute in _WRAPPED:
        inner = getattr(part, attribute, None)
        if inner is not None and not isinstance(inner, str):
            if getattr(inner, "n_features_in_", len(names)) == len(names):
                yield from _search(inner, names)
            return


def _flat(several: _Part) -> Iterator[Any]:
    for one in several:
        if isinstance(one, list | tuple):
            yield from one
        elif not isinstance(one, str):
            yield one


def _pipeline(part: _Part, steps: _Part, names: _Names) -> _Search:
    del part
    null: Null | None = None
    for _, step in steps:
        if step is None or step == "passthrough":
            continue
        if isinstance(step, SimpleImputer) and not step.add_indicator:
            null = null or _null(step.missing_values)
            if len(step.get_feature_names_out()) != len(names):
                return
            continue
        # A null that the imputer left for the encoder (None, where NaN is filled) is the one of the training.
        yield from (
            found._replace(known=replace(found.known, null=found.known.null or null))
            for found in _search(step, names)
        )
        return


def _columns(part: _Part, transformers: _Part, names: _Names) -> _Search:
    # The input may lack columns that the part drops: positions count in what it was fitted on.
    fitted = list(getattr(part, "feature_names_in_", names))
    # `transformers` has columns as the user wrote them: names, positions, slices, masks.
    indices: Mapping[str, Sequence[int]] = part._transformer_to_input_indices  # noqa: SLF001 - see above
    for name, transformer, _ in transformers:
        if not isinstance(transformer, str):
            yield from _search(transformer, [fitted[index] for index in indices[name]])


def _union(part: _Part, transformers: _Part, names: _Names) -> _Search:
    del part
    for _, transformer in transformers:
        if not isinstance(transformer, str):
            yield from _search(transformer, names)


def _encoder(part: _Part, categories: _Part, names: _Names) -> _Search:
    refuses = getattr(part, "handle_unknown", "") == "error"
    for name, values in zip(names, categories, strict=False):
        found = [getattr(value, "item", lambda value=value: value)() for value in values]
        nulls = [value for value in found if _null(value) is not None]
        scalars = tuple(value for value in found if _null(value) is None)
        if all(isinstance(value, Scalar) for value in scalars):
            yield _Found(name, KnownCategories(scalars, _null(nulls[0]) if nulls else None, refuses=refuses))


def _histograms(part: _Part, preprocessor: _Part, names: _Names) -> _Search:
    native = getattr(part, "categorical_features", None) == "from_dtype"
    for column, known in _search(preprocessor, names):
        yield _Found(column, replace(known, native=native))


def _lightgbm(part: _Part, categorical: _Part, names: _Names) -> _Search:
    places = list(part.params.get("categorical_column") or ())
    if len(places) < len(categorical):
        # Ordered categories are numbers for LightGBM: their codes, from 0 on.
        places = sorted(places + _places_of_codes(part, {len(values) for values in categorical}))
    # Where other columns have such numbers too, nothing tells which is which.
    if len(places) == len(categorical):
        for place, values in zip(places, categorical, strict=True):
            yield _Found(names[place], KnownCategories(tuple(values), native=True))


def _places_of_codes(booster: _Part, sizes: Container[int]) -> list[int]:
    """Return the places of numbers between 0 and one less than one of `sizes`."""
    lines = booster.model_to_string(num_iteration=1).splitlines()
    ranges = next(line for line in lines if line.startswith("feature_infos=")).partition("=")[2].split(" ")
    found = (re.fullmatch(r"\[0:(\d+)\]", text) for text in ranges)
    return [place for place, read in enumerate(found) if read and int(read[1]) + 1 in sizes]


def _xgboost(part: _Part, kinds: _Part, names: _Names) -> _Search:
    exported: Mapping[str, Any] = {}
    if hasattr(part, "get_categories"):
        exported = dict(part.get_categories(export_to_arrow=True).to_arrow() or ())
    own = part.feature_names or names
    for name, own_name, kind in zip(names, own, kinds, strict=False):
        if kind == "c":
            values = exported.get(own_name)
            known = () if values is None else tuple(values.to_pylist())
            yield _Found(name, KnownCategories(known, native=True, refuses=bool(known)))


def _inner(part: _Part, booster: _Part, names: _Names) -> _Search:
    del part
    yield from _search(booster, names)


def _fitted(part: _Part, ask: Callable[[], Any], names: _Names) -> _Search:
    del part
    yield from _search(ask(), names)


def _null(value: object) -> Null | None:
    if value is None:
        return "none"
    if value is pd.NA:
        return "na"
    if value is pd.NaT:
        return "nat"
    return "nan" if isinstance(value, float) and math.isnan(value) else None


# The attribute that tells the kind of a part, and how to look into it. Only the first that is there counts.
_LOOKS: Mapping[str, Callable[[Any, Any, _Names], _Search]] = {
    "steps": _pipeline,
    "transformers_": _columns,
    "transformer_list": _union,
    "categories_": _encoder,
    "_preprocessor": _histograms,
    "booster_": _inner,
    "pandas_categorical": _lightgbm,
    "get_booster": _fitted,
    "feature_types": _xgboost,
}
