"""The columns that a model needs, and their order: those it drops are not asked of events.

A pipeline that was fitted on the whole frame knows the names of all its columns, also of those that its
ColumnTransformer drops. A model that was fitted on an array knows none, nor their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.options import listed

_INNER = ("best_estimator_", "estimator_", "regressor_")
"""The fitted estimator within a search, a threshold classifier, a transformed target."""


def dropped_columns(estimator: Any) -> frozenset[str]:  # noqa: ANN401 - any estimator
    """Return the columns that the first step of `estimator` drops by name, if it is a ColumnTransformer."""
    if isinstance(estimator, ColumnTransformer):
        return _dropped(estimator)
    folds = getattr(estimator, "calibrated_classifiers_", ())
    if folds:
        return frozenset.intersection(*(dropped_columns(fold.estimator) for fold in folds))
    steps = getattr(estimator, "steps", None)
    inner = [steps[0][1]] if steps else [getattr(estimator, name, None) for name in _INNER]
    return next((dropped_columns(one) for one in inner if one is not None), frozenset())


def _dropped(transformer: ColumnTransformer) -> frozenset[str]:
    names = list(getattr(transformer, "feature_names_in_", ()))
    # The public `transformers_` has columns as the user wrote them: slices, masks and callables too.
    indices: Mapping[str, Sequence[int]] = transformer._transformer_to_input_indices  # noqa: SLF001 - see above
    used = {
        names[index]
        for step, part, _ in transformer.transformers_
        if not (isinstance(part, str) and part == "drop")
        for index in indices[step]
        if names
    }
    return frozenset(names) - used


def check_order(columns: Mapping[str, Sequence[str]], *, checked: bool) -> tuple[str, ...]:
    """Return a note about the order of the columns of a model that was fitted on an array.

    `columns` has the model's columns in the order of each source, that of the golden sample first. Raises
    `Misconfigured` where the orders differ and no answers of the maker check them (`checked`).
    """
    first = next(iter(columns.values()))
    if checked or len(first) < 2:  # noqa: PLR2004 - one column has no order
        return ()
    said = "; ".join(f"{source} has {listed(order)}" for source, order in columns.items())
    if any(list(one) != list(other) for one, other in pairwise(columns.values())):
        what = f"the model was fitted on an array, so that its order is not known: {said}"
        orders = dict.fromkeys(f"--features {','.join(order)}" for order in columns.values())
        fix = f"name the order that the array had, such as {' or '.join(orders)}, or check it with --answers"
        raise Misconfigured([Problem("--features", "", what, fix)])
    taken = f"the model was fitted on an array: its columns are taken to be, in this order, {listed(first)}"
    return (f"{taken}; --features names another order, --answers checks it",)


def in_order(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return those of `names` that `frame` has, in its order."""
    return [name for name in frame.columns if name in names]
