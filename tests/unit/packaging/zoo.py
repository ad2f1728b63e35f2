"""Small fitted models of every convertible kind, and rows for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FEATURES = 4
_RNG = np.random.default_rng(3)
MATRIX = _RNG.normal(size=(300, FEATURES))
HOLES = np.where(_RNG.random(MATRIX.shape) < 0.2, np.nan, MATRIX)
SUM = MATRIX[:, :2].sum(axis=1) + _RNG.normal(0.0, 0.3, 300)
TWO = np.where(SUM > 0, "yes", "no")
THREE = np.digitize(SUM, [-0.7, 0.7])
FRESH = _RNG.normal(size=(200, FEATURES))


def _few(kind: Callable[..., Any], **settings: Any) -> Any:
    count = "max_iter" if kind.__name__.startswith("Hist") else "n_estimators"
    return kind(**{count: 12, "random_state": 0, **settings})


def _frame(matrix: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(matrix, columns=[f"x{index}" for index in range(FEATURES)])


ZOO: Mapping[str, Callable[[], Any]] = {
    "forest": lambda: _few(RandomForestClassifier).fit(MATRIX, TWO),
    "forest of three classes": lambda: _few(RandomForestClassifier).fit(MATRIX, THREE),
    "forest of one class": lambda: _few(RandomForestClassifier).fit(MATRIX, ["a"] * len(MATRIX)),
    "forest fitted on holes": lambda: _few(RandomForestClassifier).fit(HOLES, TWO),
    "forest of stumps and single leaves": lambda: _few(
        RandomForestClassifier, max_depth=1, min_impurity_decrease=0.06
    ).fit(MATRIX, TWO),
    "forest for numbers": lambda: _few(RandomForestRegressor).fit(MATRIX, SUM),
    "forest in a frame": lambda: _few(RandomForestClassifier).fit(_frame(MATRIX), TWO),
    "forest on several jobs": lambda: _few(RandomForestClassifier, n_jobs=2).fit(MATRIX, TWO),
    "extra trees": lambda: _few(ExtraTreesClassifier).fit(HOLES, THREE),
    "extra trees for numbers": lambda: _few(ExtraTreesRegressor).fit(MATRIX, SUM),
    "boosting": lambda: _few(GradientBoostingClassifier).fit(MATRIX, TWO),
    "boosting of three classes": lambda: _few(GradientBoostingClassifier).fit(MATRIX, THREE),
    "boosting, exponential": lambda: _few(GradientBoostingClassifier, loss="exponential").fit(MATRIX, TWO),
    "boosting from zero": lambda: _few(GradientBoostingClassifier, init="zero").fit(MATRIX, TWO),
    "boosting for numbers": lambda: _few(GradientBoostingRegressor, loss="huber").fit(MATRIX, SUM),
    "histograms": lambda: _few(HistGradientBoostingClassifier).fit(MATRIX, TWO),
    "histograms on holes": lambda: _few(HistGradientBoostingClassifier).fit(HOLES, TWO),
    "histograms of three classes": lambda: _few(HistGradientBoostingClassifier).fit(HOLES, THREE),
    "histograms for numbers": lambda: _few(HistGradientBoostingRegressor).fit(HOLES, SUM),
    "histograms for counts": lambda: _few(HistGradientBoostingRegressor, loss="poisson").fit(
        MATRIX, np.exp(SUM)
    ),
    "isolation": lambda: _few(IsolationForest).fit(MATRIX),
    "isolation of some features": lambda: _few(IsolationForest, max_features=0.5, contamination=0.1).fit(
        MATRIX
    ),
    "pipeline": lambda: make_pipeline(StandardScaler(), _few(RandomForestClassifier)).fit(MATRIX, TWO),
    "pipeline of one step": lambda: make_pipeline(_few(RandomForestClassifier)).fit(MATRIX, TWO),
    "pipeline in a frame": lambda: make_pipeline(
        make_column_transformer(
            (SimpleImputer(), ["x0", "x1"]),
            (OneHotEncoder(sparse_output=False, handle_unknown="ignore"), ["x2"]),
        ),
        _few(GradientBoostingClassifier),
    ).fit(_frame(HOLES.round(0)), TWO),
    "search": lambda: GridSearchCV(_few(RandomForestClassifier), {"max_depth": [2, 3]}, cv=2).fit(
        MATRIX, TWO
    ),
}  # fmt: skip


def rows_for(model: Any, matrix: np.ndarray) -> Any:
    """Return `matrix` in the container that `model` was fitted on."""
    return _frame(matrix) if hasattr(model, "feature_names_in_") else matrix
