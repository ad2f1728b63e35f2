"""Scores a frame with an estimator: which methods are called, how often, and how results become scores.

Duck-typed over the methods that scikit-learn's estimators share. `scores` checks results against the
contract.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier, is_outlier_detector, is_regressor

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.frame_builder import Frame
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Floats, Labels, OutputShapeError, Scores, named_values

_T = TypeVar("_T", bound=np.generic)

_BINARY = 2
_OUTLIER = ("-1", "1")

# Estimators whose `predict` is, by their own definition, the class of the largest probability (or of the
# largest decision value; or the sign of it). Golden samples that agree are not enough: a classifier with a
# tuned threshold agrees on every sample that is not between the two. All others are called twice: slower, and
# never wrong.
_LARGEST_WINS = frozenset({
    "BernoulliNB", "CategoricalNB", "ComplementNB", "DecisionTreeClassifier", "EllipticEnvelope",
    "ExtraTreeClassifier", "ExtraTreesClassifier", "GaussianNB", "IsolationForest",
    "LinearDiscriminantAnalysis", "LinearSVC", "LocalOutlierFactor", "LogisticRegression",
    "LogisticRegressionCV", "MLPClassifier", "MultinomialNB", "QuadraticDiscriminantAnalysis",
    "RandomForestClassifier", "RidgeClassifier", "RidgeClassifierCV",
})  # fmt: skip


class Estimator(Protocol):
    """The methods of an estimator; the last two only where its contract says so."""

    def predict(self, frame: Frame) -> npt.NDArray[Any]:
        """Return one answer per row."""

    def predict_proba(self, frame: Frame) -> npt.NDArray[Any]:
        """Return one probability per row and class."""

    def decision_function(self, frame: Frame) -> npt.NDArray[Any]:
        """Return one value per row, or per row and class."""


def contract_of(
    estimator: Estimator, frame: Frame, *, threshold: float | None = None, class_scores: bool = False
) -> OutputContract:
    """Return the contract of a fitted `estimator`, trying it on the user's own golden `frame`.

    Raises `Refused` for an estimator whose output is not one label and one number.
    """
    if is_regressor(estimator):
        return OutputContract("regressor")
    if is_outlier_detector(estimator):
        from_predict = OutputContract("outlier", _OUTLIER, score=_score_kind(estimator, frame, 2))
    elif is_classifier(estimator):
        classes = classes_of(estimator)
        score = _score_kind(estimator, frame, len(classes))
        from_predict = OutputContract("classifier", classes, threshold, class_scores, score)
    else:
        raise Refused(
            RefusalCode.OUTPUT, f"{type(estimator).__name__}: not a classifier, regressor or outlier detector"
        )
    decider = type(_last(estimator))
    if decider.__name__ not in _LARGEST_WINS or not decider.__module__.startswith("sklearn."):
        return from_predict
    if from_predict.score is None:
        return from_predict
    from_scores = replace(
        from_predict, label_from="proba" if from_predict.score == "probability" else "decision"
    )
    predicted, derived = (_labels(estimator, one, frame) for one in (from_predict, from_scores))
    return from_scores if predicted == derived else from_predict


def contract_violation(estimator: Estimator, contract: OutputContract) -> str | None:
    """Return why `estimator` cannot satisfy `contract`, or None. Calls none of its methods."""
    if contract.kind == "classifier" and classes_of(estimator) != contract.classes:
        return "its classes differ from the manifest's"
    method = {"probability": "predict_proba", "decision": "decision_function"}.get(contract.score or "")
    missing = [name for name in ("predict", method) if name is not None and not hasattr(estimator, name)]
    return f"it has no {missing[0]}" if missing else None


def classes_of(estimator: Estimator) -> tuple[str, ...]:
    """Return the names of the estimator's classes in its own order; raise `Refused` for several outputs."""
    classes = getattr(estimator, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1:
        raise Refused(RefusalCode.OUTPUT, f"{type(estimator).__name__} has several lists of classes")
    return tuple(str(one) for one in classes)


def predict(estimator: Estimator, contract: OutputContract, frame: Frame) -> Scores:
    """Return the scores of `frame`, with as few calls of `estimator` as the contract allows.

    Raises what the estimator raises, and `OutputShapeError` for answers that are not one per row.
    """
    n = len(frame)
    if contract.values:
        return named_values(_values(estimator.predict(frame), n, len(contract.values)), contract)
    if contract.kind == "regressor":
        return Scores(value=_one_per_row(np.asarray(estimator.predict(frame), dtype=np.float64), n))
    names = np.array(contract.classes, dtype=object)
    if contract.score is None:
        return Scores(label=_named(estimator, names, frame, n))
    if contract.score == "probability":
        raw = _table(estimator.predict_proba(frame), n, len(names))
    else:
        raw = np.asarray(estimator.decision_function(frame), dtype=np.float64)
    winner = _winner(raw, contract, n)
    label = _named(estimator, names, frame, n) if winner is None else names[winner]
    return Scores(
        label=label,
        score=_score(raw, winner, label, names, n),
        class_scores=raw if contract.class_scores else None,
        winner=winner,
    )


def _winner(raw: Floats, contract: OutputContract, n: int) -> npt.NDArray[np.intp] | None:
    """Return the index of each row's class, or None where only `predict` determines it."""
    if contract.threshold is not None:
        score = raw[:, 1] if raw.ndim > 1 else _one_per_row(raw, n)
        return (score >= contract.threshold).astype(np.intp)
    if contract.label_from == "predict":
        return None
    if raw.ndim > 1:
        return np.asarray(raw.argmax(axis=1), dtype=np.intp)
    # At exactly zero scikit-learn's classifiers say the first class and its outlier detectors the inlier.
    decided = _one_per_row(raw, n)
    return (decided >= 0 if contract.kind == "outlier" else decided > 0).astype(np.intp)


def _score(raw: Floats, winner: npt.NDArray[np.intp] | None, label: Labels, names: Labels, n: int) -> Floats:
    """Return P(second class) or the decision value of two classes, and that of the label of more."""
    if raw.ndim == 1:
        return _one_per_row(raw, n)
    table = _table(raw, n, len(names))
    if len(names) == _BINARY:
        return np.ascontiguousarray(table[:, 1])
    place = _places(label, names, n) if winner is None else winner
    # A label that is not a class has no score; `scores.check` names it.
    return np.where(place >= 0, table[np.arange(n), place], np.nan)


def _places(label: Labels, names: Labels, n: int) -> npt.NDArray[np.intp]:
    """Return the index of each label among the classes, or -1."""
    place = {name: index for index, name in enumerate(names.tolist())}
    return np.fromiter((place.get(one, -1) for one in label.tolist()), dtype=np.intp, count=n)


def _named(estimator: Estimator, names: Labels, frame: Frame, n: int) -> Labels:
    predicted = _one_per_row(np.asarray(estimator.predict(frame)), n).tolist()
    known = dict(zip(np.asarray(getattr(estimator, "classes_", (-1, 1))).tolist(), names, strict=False))
    return np.array([known.get(one) or str(one) for one in predicted], dtype=object)


def _one_per_row(column: npt.NDArray[_T], n: int) -> npt.NDArray[_T]:
    if column.shape == (n, 1):
        column = column.reshape(n)
    if column.shape != (n,):
        raise OutputShapeError(f"the model answered {n} rows with shape {column.shape}")
    return column


def _table(raw: npt.ArrayLike, n: int, classes: int) -> Floats:
    table = np.asarray(raw, dtype=np.float64)
    if table.shape != (n, classes):
        raise OutputShapeError(f"the model answered {n} rows of {classes} classes with shape {table.shape}")
    return table


def _values(raw: npt.ArrayLike, n: int, values: int) -> Floats:
    table = np.asarray(raw, dtype=np.float64)
    if table.shape != (n, values):
        raise OutputShapeError(f"the model answered {n} rows of {values} values with shape {table.shape}")
    return table


def _labels(estimator: Estimator, contract: OutputContract, frame: Frame) -> list[str]:
    label = predict(estimator, replace(contract, threshold=None), frame).label
    return [] if label is None else label.tolist()


def _score_kind(
    estimator: Estimator, frame: Frame, classes: int
) -> Literal["probability", "decision"] | None:
    if hasattr(estimator, "predict_proba") and not is_outlier_detector(estimator):
        return "probability"
    if not hasattr(estimator, "decision_function"):
        return None
    # One value per pair of classes (SVC, one against one) is not the score of a class.
    shape = np.shape(estimator.decision_function(frame))
    return "decision" if shape == (len(frame),) or shape == (len(frame), classes) else None


def _last(estimator: Estimator) -> object:
    """Return the final estimator: the last of a pipeline, the best of a search."""
    while True:
        if hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator
