"""An ensemble of trees as Treelite has it, answering as the scikit-learn estimator that it was made from.

Treelite knows sums of leaves. What scikit-learn makes of them, in double precision and in its own words, is
here: Treelite's own softmax and its isolation score are good to some 1e-8 only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from stream_infer.models.scores import Floats

Sums = Callable[[Floats], Floats]

FORESTS = frozenset({
    "ExtraTreesClassifier", "ExtraTreesRegressor", "IsolationForest", "RandomForestClassifier",
    "RandomForestRegressor",
})  # fmt: skip
BOOSTED = frozenset({
    "GradientBoostingClassifier", "GradientBoostingRegressor", "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
})  # fmt: skip
# They compare doubles, and know a way for every number and for none. All the others round their inputs to
# float32 first and have more than one opinion on what is not finite.
ANY_NUMBER = frozenset({"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"})


def is_trees(estimator: object) -> bool:
    """Return whether `estimator` is one of scikit-learn's own ensembles of trees that Treelite knows."""
    kind = type(estimator)
    return kind.__module__.startswith("sklearn.") and kind.__name__ in FORESTS | BOOSTED


@dataclass(frozen=True, slots=True)
class Forest:
    """The mean of its trees: a probability per class, or a value."""

    own: Any
    default: Sums
    dtype: ClassVar[npt.DTypeLike] = np.float32
    any_number: ClassVar[bool] = False

    def predict_proba(self, matrix: Floats) -> Floats:
        return self.default(matrix)

    def predict(self, matrix: Floats) -> npt.NDArray[Any]:
        answers = self.default(matrix)
        if not hasattr(self.own, "classes_"):
            return answers.ravel()
        named: npt.NDArray[Any] = self.own.classes_.take(answers.argmax(axis=1))
        return named

    def decision_function(self, matrix: Floats) -> Floats:
        raise NotImplementedError("a forest has probabilities")


@dataclass(frozen=True, slots=True)
class Boosted:
    """The sum of its trees, and the link of its loss over it."""

    own: Any
    margins: Sums
    default: Sums
    dtype: npt.DTypeLike
    any_number: bool

    def decision_function(self, matrix: Floats) -> Floats:
        raw = self.margins(matrix)
        return raw.ravel() if raw.shape[1] == 1 else raw

    def predict_proba(self, matrix: Floats) -> Floats:
        raw = self.decision_function(matrix)
        if raw.ndim > 1:
            return np.asarray(softmax(raw, axis=1), dtype=np.float64)
        second = expit(2 * raw if getattr(self.own, "loss", "") == "exponential" else raw)
        return np.column_stack([1 - second, second])

    def predict(self, matrix: Floats) -> npt.NDArray[Any]:
        if not hasattr(self.own, "classes_"):
            return self.default(matrix).ravel()
        raw = self.decision_function(matrix)
        if raw.ndim > 1:
            winner = raw.argmax(axis=1)
        else:
            # At exactly zero the one says the first class and the other the second.
            winner = (raw > 0 if self.any_number else raw >= 0).astype(np.intp)
        named: npt.NDArray[Any] = self.own.classes_.take(winner)
        return named


@dataclass(frozen=True, slots=True)
class Isolation:
    """How few splits set a row apart, against the path in a tree of as many random rows (`max_samples_`)."""

    own: Any
    margins: Sums
    dtype: ClassVar[npt.DTypeLike] = np.float32
    any_number: ClassVar[bool] = False

    def decision_function(self, matrix: Floats) -> Floats:
        path = _average_path(int(self.own.max_samples_))
        score: Floats = -(2.0 ** (-self.margins(matrix).ravel() / path)) - self.own.offset_
        return score

    def predict(self, matrix: Floats) -> npt.NDArray[Any]:
        return np.where(self.decision_function(matrix) < 0, -1, 1)

    def predict_proba(self, matrix: Floats) -> Floats:
        raise NotImplementedError("an outlier detector has no probabilities")


def opened(treelite: Any, data: bytes, own: Any) -> Forest | Boosted | Isolation:  # noqa: ANN401 - an optional library; any ensemble
    """Return the ensemble in `data`, which was made from `own`: scikit-learn's, for its names and constants."""
    model = treelite.Model.deserialize_bytes(data)
    gtil = treelite.gtil

    def default(matrix: Floats) -> Floats:
        return _flat(gtil.predict(model, matrix, nthread=1))

    def margins(matrix: Floats) -> Floats:
        return _flat(gtil.predict(model, matrix, nthread=1, pred_margin=True))

    name = type(own).__name__
    if name == "IsolationForest":
        return Isolation(own, margins)
    if name in FORESTS:
        return Forest(own, default)
    any_number = name in ANY_NUMBER
    return Boosted(own, margins, default, np.float64 if any_number else np.float32, any_number)


def _flat(answers: Floats) -> Floats:
    """Return (rows, targets, classes) of one target as (rows, classes)."""
    return answers.reshape(len(answers), -1)


def _average_path(rows: int) -> float:
    """Return the mean length of an unsuccessful search in a random tree of `rows`, as scikit-learn has it."""
    if rows <= 2:  # noqa: PLR2004 - one row needs no split, and two need one
        return float(rows == 2)  # noqa: PLR2004 - as above
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)
