"""Models and frames that are rarer than those of `random_models`: other dtypes, cells, indices and wrappers.

A frame is made in memory, as `stream_infer.package` gets it, or goes through a file. Its events are what a
producer sends for the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from tests.support.random_models import ROWS, Sample, Trained
from tests.support.unusual_columns import ODD, odd_columns

_INDICES: Sequence[Callable[[np.random.Generator], pd.Index]] = [
    lambda _: pd.RangeIndex(ROWS),
    lambda rng: pd.Index(rng.permutation(ROWS)),
    lambda _: pd.Index([1] * ROWS),
    lambda _: pd.Index([f"row {row}" for row in range(ROWS)]),
    lambda _: pd.date_range("2026-01-01", periods=ROWS, freq="h"),
    lambda _: pd.MultiIndex.from_product([range(ROWS // 2), ["a", "b"]]),
]


_CLASSIFIERS: Mapping[str, Callable[[Any], Any]] = {
    "logistic": lambda p: make_pipeline(p, LogisticRegression(max_iter=200)),
    "forest": lambda p: make_pipeline(p, RandomForestClassifier(4, random_state=0)),
    "search": lambda p: GridSearchCV(
        make_pipeline(p, LogisticRegression(max_iter=200)), {"logisticregression__C": [0.1, 1.0]}, cv=2
    ),
    "soft vote": lambda p: make_pipeline(
        p,
        VotingClassifier(
            [("a", LogisticRegression()), ("b", DecisionTreeClassifier(max_depth=3))], voting="soft"
        ),
    ),
    "hard vote": lambda p: VotingClassifier(
        [
            ("a", make_pipeline(p, LogisticRegression())),
            ("b", make_pipeline(p, DecisionTreeClassifier(max_depth=3))),
        ]
    ),
    "stack": lambda p: StackingClassifier(
        [
            ("a", make_pipeline(p, LogisticRegression())),
            ("b", make_pipeline(p, DecisionTreeClassifier(max_depth=3))),
        ],
        cv=2,
    ),
    "calibrated": lambda p: CalibratedClassifierCV(
        make_pipeline(p, DecisionTreeClassifier(max_depth=3)), cv=2
    ),
    "threshold": lambda p: TunedThresholdClassifierCV(
        make_pipeline(p, LogisticRegression()), cv=2, random_state=0
    ),
    "bagged": lambda p: make_pipeline(
        p, BaggingClassifier(DecisionTreeClassifier(max_depth=3), 4, random_state=0)
    ),
    "selected": lambda p: make_pipeline(p, SelectKBest(k=1), KNeighborsClassifier()),
}
_REGRESSORS: Mapping[str, Callable[[Any], Any]] = {
    "linear": lambda p: make_pipeline(p, LinearRegression()),
    "tree": lambda p: make_pipeline(p, DecisionTreeRegressor(max_depth=4)),
    "forest": lambda p: make_pipeline(p, RandomForestRegressor(4, random_state=0)),
    "logarithm": lambda p: TransformedTargetRegressor(
        make_pipeline(p, Ridge()), func=np.arcsinh, inverse_func=np.sinh
    ),
    "vote": lambda p: make_pipeline(
        p, VotingRegressor([("a", Ridge()), ("b", DecisionTreeRegressor(max_depth=3))])
    ),
    "stack": lambda p: StackingRegressor([("a", make_pipeline(p, Ridge()))], cv=2),
    "search": lambda p: GridSearchCV(make_pipeline(p, Ridge()), {"ridge__alpha": [0.5, 1.0]}, cv=2),
    "outputs": lambda p: MultiOutputRegressor(make_pipeline(p, Ridge())),
    "chain": lambda p: make_pipeline(p, RegressorChain(Ridge())),
}
SEVERAL = frozenset({"outputs", "chain"})
NAMES = ("low", "high")


@dataclass(frozen=True)
class Unusual(Trained):
    """A fitted model with the columns of above; `several` numbers a row."""

    several: bool
    description: str

    def own(self, rows: pd.DataFrame) -> list[tuple[Any, Any]]:
        """Return label and number of each row, or the numbers, as the maker gets them."""
        if not self.several:
            return super().own(rows)
        return [(None, dict(zip(NAMES, map(float, row), strict=True))) for row in self.model.predict(rows)]

    def options(self) -> dict[str, Any]:
        """Return the options of `package create` that the model needs."""
        return {"values": NAMES} if self.several else {}

    def through(self, sample: Sample) -> Sample:
        """Return `sample` in a form that keeps what the answers depend on.

        No file keeps all types. A CSV has no empty text, and pandas reads the text "None" as null.
        """
        kinds = {column.kind for column in self.columns}
        if any(getattr(column, "sensitive", False) for column in self.columns):
            return replace(sample, form="memory")
        return replace(sample, form="parquet") if "empty texts" in kinds and sample.form == "csv" else sample


@st.composite
def unusual(draw: st.DrawFn) -> Unusual | None:
    """Draw a frame and a model that is fitted on it; None where it cannot be."""
    chosen = draw(odd_columns())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    index = draw(st.sampled_from(_INDICES))(rng)
    frame = pd.DataFrame({one.name: one.cells(rng, index) for one in chosen})
    parts = [
        (
            one.name,
            draw(st.sampled_from(ODD[one.kind].sensitive if one.sensitive else ODD[one.kind].prepared))(),
            [one.name],
        )
        for one in chosen
    ]
    prepared = ColumnTransformer(parts, sparse_threshold=draw(st.sampled_from([0.0, 0.3, 1.0])))
    if draw(st.integers(0, 4)) == 0:
        prepared = prepared.set_output(transform="pandas")
    signal = pd.factorize(frame.iloc[:, 0].astype(object).map(repr))[0] % 3 + rng.normal(size=ROWS) * 0.3
    classes = draw(st.booleans())
    kinds = _CLASSIFIERS if classes else _REGRESSORS
    name = draw(st.sampled_from(sorted(kinds)))
    model = kinds[name](prepared)
    target: Any = np.where(signal > 1, 1, 0) if name == "threshold" else np.where(signal > 1, "yes", "no")
    if not classes:
        target = np.column_stack([signal, -2 * signal]) if name in SEVERAL else signal
    try:
        model.fit(frame, target)
        if draw(st.integers(0, 9)) == 0 and name not in SEVERAL:
            model = FrozenEstimator(model)
        made = Unusual(model, frame, chosen, False, not classes and name in SEVERAL, name)
        made.own(frame)
    except (ValueError, TypeError, NotImplementedError, AttributeError):
        return None
    return made
