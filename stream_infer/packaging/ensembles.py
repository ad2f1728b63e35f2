"""Reads scikit-learn's tree ensembles as arrays: nodes, leaves, and the link of their sum.

It reads fitted attributes, private ones among them: no public API gives the values of leaves. `equivalence`
shows for every model that they were read correctly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor

from stream_infer.models.scores import Floats

_BINARY = 2
_LEAF = -1


class Link(StrEnum):
    """The link function of a sum of trees: probabilities, a value, or a decision value."""

    VALUE = "value"
    CLASSES = "classes"  # is P(class) already
    SECOND = "second"  # is P(second class): the first has the rest
    EXP = "exp"
    LOGISTIC = "logistic"
    SOFTMAX = "softmax"
    ISOLATION = "isolation"


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree as arrays over its nodes. Left: at most `threshold`, or NaN where `nan_left`. Leaf: child -1."""

    feature: NDArray[np.intp]
    threshold: Floats
    nan_left: NDArray[np.bool_]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    weight: Floats
    target: int = 0

    @property
    def inner(self) -> NDArray[np.bool_]:
        """Mask of the nodes with children."""
        found: NDArray[np.bool_] = self.left != _LEAF
        return found


@dataclass(frozen=True, slots=True)
class Ensemble:
    """`link`(`base` + sum of the trees of each target / `divisor`).

    `base` has one number per target. `rounds`: inputs are rounded to single precision first. `offset` is the
    threshold of an isolation forest's score.
    """

    trees: tuple[Tree, ...]
    features: int
    rounds: bool
    link: Link
    base: Floats
    divisor: float = 1.0
    offset: float = 0.0

    @property
    def nodes(self) -> int:
        """Number of nodes of all trees."""
        return sum(len(tree.left) for tree in self.trees)

    @property
    def copies(self) -> int:
        """Copies of each tree of the estimator: one per class in a forest of several classes.

        scikit-learn walks such a tree once for all classes.
        """
        return len(self.base) if self.link is Link.CLASSES else 1

    def splits(self) -> list[Floats]:
        """Return the distinct thresholds of each feature."""
        feature = np.concatenate([tree.feature[tree.inner] for tree in self.trees])
        threshold = np.concatenate([tree.threshold[tree.inner] for tree in self.trees])
        return [np.unique(threshold[feature == index]) for index in range(self.features)]


def read_ensemble(estimator: Any) -> Ensemble | str:  # noqa: ANN401 - any estimator
    """Return the fitted `estimator` as an ensemble, or the reason why it cannot be converted."""
    kind = type(estimator)
    reader = _READERS.get(kind.__name__) if kind.__module__.startswith("sklearn.ensemble.") else None
    if reader is None:
        return f"{kind.__name__} is none of the ensembles of trees that are converted"
    return reader(estimator)


def _forest(own: Any) -> Ensemble | str:  # noqa: ANN401 - a forest of scikit-learn's
    if own.n_outputs_ != 1:
        return "it has several outputs"
    classes = len(getattr(own, "classes_", ()))
    # Two probabilities are one: half of the trees, and the same answers but for the last bit.
    targets = (1,) if classes == _BINARY else range(max(classes, 1))
    trees = tuple(
        _tree(one.tree_, one.tree_.value[:, 0, column], target)
        for one in own.estimators_
        for target, column in enumerate(targets)
    )
    link = Link.SECOND if classes == _BINARY else Link.CLASSES if classes else Link.VALUE
    return Ensemble(trees, own.n_features_in_, True, link, np.zeros(len(targets)), len(own.estimators_))


def _isolation(own: Any) -> Ensemble | str:  # noqa: ANN401 - an isolation forest
    lengths = zip(own._decision_path_lengths, own._average_path_length_per_tree, strict=True)  # noqa: SLF001 - see the module
    trees = tuple(
        _tree(one.tree_, depths + averages - 1.0, features=features)
        for one, features, (depths, averages) in zip(
            own.estimators_, own.estimators_features_, lengths, strict=True
        )
    )
    path = len(trees) * _average_path(int(own.max_samples_))
    if not path:
        return "it was fitted on one row"
    return Ensemble(
        trees, own.n_features_in_, True, Link.ISOLATION, np.zeros(1), -path / np.log(2.0), float(own.offset_)
    )


def _boosted(own: Any) -> Ensemble | str:  # noqa: ANN401 - scikit-learn's GradientBoosting
    constant = isinstance(own.init_, DummyClassifier | DummyRegressor) or own.init_ == "zero"
    if not constant:
        return "its init is a model of its own"
    base = own._raw_predict_init(np.zeros((1, own.n_features_in_)))[0]  # noqa: SLF001 - see the module
    trees = tuple(
        _tree(one.tree_, own.learning_rate * one.tree_.value[:, 0, 0], target)
        for stage in own.estimators_
        for target, one in enumerate(stage)
    )
    link, divisor = _LINKS[type(own._loss.link).__name__]  # noqa: SLF001 - see the module
    return Ensemble(trees, own.n_features_in_, True, link, base / divisor, divisor)


def _histogram(own: Any) -> Ensemble | str:  # noqa: ANN401 - scikit-learn's HistGradientBoosting
    if own.is_categorical_ is not None and own.is_categorical_.any():
        return "it has categorical features"
    trees = tuple(
        _histogram_tree(one.nodes, target)
        for stage in own._predictors  # noqa: SLF001 - see the module
        for target, one in enumerate(stage)
    )
    base = np.ravel(own._baseline_prediction)  # noqa: SLF001 - see the module
    link, divisor = _LINKS[type(own._loss.link).__name__]  # noqa: SLF001 - see the module
    return Ensemble(trees, own.n_features_in_, False, link, base / divisor, divisor)


_LINKS: Mapping[str, tuple[Link, float]] = {
    "IdentityLink": (Link.VALUE, 1.0),
    "LogLink": (Link.EXP, 1.0),
    "LogitLink": (Link.LOGISTIC, 1.0),
    "HalfLogitLink": (Link.LOGISTIC, 0.5),
    "MultinomialLogit": (Link.SOFTMAX, 1.0),
}
_READERS: Mapping[str, Callable[[Any], Ensemble | str]] = {
    "ExtraTreesClassifier": _forest,
    "ExtraTreesRegressor": _forest,
    "GradientBoostingClassifier": _boosted,
    "GradientBoostingRegressor": _boosted,
    "HistGradientBoostingClassifier": _histogram,
    "HistGradientBoostingRegressor": _histogram,
    "IsolationForest": _isolation,
    "RandomForestClassifier": _forest,
    "RandomForestRegressor": _forest,
}


def _tree(tree: Any, weight: Floats, target: int = 0, features: NDArray[np.intp] | None = None) -> Tree:  # noqa: ANN401 - scikit-learn's Tree
    # A leaf's feature is -2: whatever stands for it there is not looked at.
    feature = tree.feature if features is None else np.asarray(features)[tree.feature.clip(0)]
    nan_left = np.asarray(tree.missing_go_to_left, dtype=np.bool_)
    return Tree(feature, tree.threshold, nan_left, tree.children_left, tree.children_right, weight, target)


def _histogram_tree(nodes: Any, target: int) -> Tree:  # noqa: ANN401 - a structured array
    leaf = nodes["is_leaf"].astype(np.bool_)
    left, right = (np.where(leaf, _LEAF, nodes[side].astype(np.intp)) for side in ("left", "right"))
    nan_left = nodes["missing_go_to_left"].astype(np.bool_)
    return Tree(nodes["feature_idx"], nodes["num_threshold"], nan_left, left, right, nodes["value"], target)


def _average_path(rows: int) -> float:
    """Return the mean length of an unsuccessful search in a random tree of `rows`, as scikit-learn has it."""
    if rows <= 2:  # noqa: PLR2004 - one row needs no split, and two need one
        return float(rows == 2)  # noqa: PLR2004 - as above
    return float(2.0 * (np.log(rows - 1.0) + np.euler_gamma) - 2.0 * (rows - 1.0) / rows)
