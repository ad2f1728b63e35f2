"""Asks a model whether a type matters: its answers to the golden rows with a column in another form."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream_infer.common.foreign_code import raise_interrupt
from stream_infer.packaging.frames import container_kind, model_input

ROWS = 200
"""A trial scores this many golden rows at most."""


class Trials:
    """The answers of one estimator to the first rows of a frame.

    Raising is an answer too: `answered` says whether the model takes the frame as it is.
    """

    def __init__(self, estimator: Any, frame: pd.DataFrame, names: Sequence[str]) -> None:  # noqa: ANN401 - any estimator
        self._estimator = estimator
        self._names, self._kind = names, container_kind(estimator)
        self._frame = frame[list(names)].head(ROWS)
        self._own = self._ask(self._frame)

    @property
    def answered(self) -> bool:
        """Whether the model answers the frame as it is."""
        return self._own is not None

    def answers_with(self, columns: Mapping[str, pd.Series]) -> bool:
        """Return whether the model answers with `columns` in place of its own."""
        return self._ask(self._frame.assign(**columns)) is not None

    def differs_with(self, column: pd.Series) -> bool:
        """Return whether the model answers another way with `column` in place of that of its name."""
        other = self._ask(self._frame.assign(**{str(column.name): column}))
        if other is None or self._own is None:
            return False
        return not _equal(self._own, other)

    def _ask(self, frame: pd.DataFrame) -> NDArray[Any] | None:
        for method in ("predict_proba", "decision_function", "predict"):
            if hasattr(self._estimator, method):
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        given = model_input(frame.copy(), self._names, self._kind)
                        return np.asarray(getattr(self._estimator, method)(given))
                except BaseException as error:  # noqa: BLE001 - a model raises anything for an odd column
                    raise_interrupt(error)
                    return None
        return None


def with_a_null(column: pd.Series) -> pd.Series:
    """Return `column` with its first cell empty, in the dtype that a package would have for it."""
    if column.dtype.kind in "iub" and not pd.api.types.is_extension_array_dtype(column.dtype):
        column = column.astype("float64" if column.dtype.kind != "b" else object)
    first = np.arange(len(column)) == 0
    return column.mask(first, np.nan) if column.dtype == object else column.mask(first)


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind == "f" and other.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True))
    return bool(np.array_equal(one, other))
