"""The categories of a fitted model are found wherever it keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

from stream_infer.models.known_categories import KnownCategories, known_categories

RNG = np.random.default_rng(4)
ROWS = 120
FRAME = pd.DataFrame(
    {
        "amount": RNG.normal(size=ROWS),
        "shop": pd.Categorical(RNG.choice([10, 20, 30], ROWS)),
        "plan": RNG.choice(["gold", "basic"], ROWS),
    }
)
TARGET = np.where(FRAME["plan"] == "gold", 1, 0) ^ (FRAME["amount"] > 1).to_numpy(dtype=int)
SHOPS, PLANS = (10, 20, 30), ("basic", "gold")
REFUSED = KnownCategories(PLANS, refuses=True)


def encoding(encoder: Any, columns: Any = ("plan",)) -> Any:
    chosen = list(columns) if isinstance(columns, tuple) else columns
    return make_pipeline(make_column_transformer((encoder, chosen)), LogisticRegression())


ENCODERS: dict[str, tuple[Any, dict[str, KnownCategories]]] = {
    "one hot": (encoding(OneHotEncoder()), {"plan": REFUSED}),
    "unknown ignored": (
        encoding(OneHotEncoder(handle_unknown="ignore")),
        {"plan": KnownCategories(PLANS)},
    ),
    "ordinal": (encoding(OrdinalEncoder()), {"plan": REFUSED}),
    "target": (encoding(TargetEncoder()), {"plan": KnownCategories(PLANS)}),
    "by place": (encoding(OneHotEncoder(), [2]), {"plan": REFUSED}),
    "by slice": (encoding(OneHotEncoder(), slice(2, 3)), {"plan": REFUSED}),
    "by mask": (encoding(OneHotEncoder(), [False, False, True]), {"plan": REFUSED}),
    "by selector": (
        encoding(OneHotEncoder(), make_column_selector("shop")),
        {"shop": KnownCategories(SHOPS, refuses=True)},
    ),
    "behind an imputer": (
        encoding(make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())),
        {"plan": KnownCategories(PLANS, null="nan", refuses=True)},
    ),
    "behind a scaler": (encoding(make_pipeline(StandardScaler(), OneHotEncoder()), ("amount",)), {}),
    "behind a function": (encoding(make_pipeline(FunctionTransformer(), OneHotEncoder())), {}),
    "in a union": (
        encoding(make_union(OneHotEncoder(), OrdinalEncoder())),
        {"plan": REFUSED},
    ),
    "in a search": (
        GridSearchCV(encoding(OneHotEncoder()), {"logisticregression__C": [1.0, 2.0]}, cv=2),
        {"plan": REFUSED},
    ),
    "calibrated": (CalibratedClassifierCV(encoding(OneHotEncoder()), cv=2), {"plan": REFUSED}),
    "voting": (VotingClassifier([("a", encoding(OneHotEncoder()))]), {"plan": REFUSED}),
    "frozen": (FrozenEstimator(encoding(OneHotEncoder()).fit(FRAME, TARGET)), {"plan": REFUSED}),
    "histograms": (
        HistGradientBoostingClassifier(max_iter=2),
        {"shop": KnownCategories(SHOPS, native=True)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODERS)
def test_categories_are_found_by_column(name: str) -> None:
    estimator, expected = ENCODERS[name]
    frame = FRAME.drop(columns="plan") if name == "histograms" else FRAME

    found = known_categories(estimator.fit(frame, TARGET), list(frame))

    assert found == expected


def test_types_are_those_of_the_training_data() -> None:
    frame = pd.DataFrame({"a": [1, 2, 1], "b": [1.5, None, 2.0], "c": [True, False, True]})

    found = known_categories(OrdinalEncoder().fit(frame), list(frame))

    assert [type(one.known[0]) for one in found.values()] == [int, float, bool]


@pytest.mark.parametrize(("null", "spelled"), [(None, "none"), (np.nan, "nan")])
def test_a_null_that_is_a_category_is_told_apart(null: object, spelled: str) -> None:
    frame = pd.DataFrame({"plan": pd.Series(["gold", null, "basic"], dtype=object)})

    found = known_categories(OneHotEncoder().fit(frame), ["plan"])

    assert found["plan"].null == spelled
    assert found["plan"].known == PLANS


def test_a_null_that_an_imputer_leaves_is_that_of_the_encoder() -> None:
    frame = pd.DataFrame({"plan": pd.Series(["gold", None, "basic"], dtype=object)})
    filled = make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder())

    assert known_categories(filled.fit(frame), ["plan"])["plan"].null == "none"


def test_the_stricter_of_two_encoders_decides() -> None:
    ignoring = OneHotEncoder(handle_unknown="ignore", categories=[["basic", "gold", "lead"]])
    both = make_column_transformer((OneHotEncoder(), ["plan"]), (ignoring, ["plan"]))

    assert known_categories(both.fit(FRAME), list(FRAME)) == {"plan": REFUSED}


class _Ratio(BaseEstimator):  # type: ignore[misc]
    """An encoder whose categories are no values of a column."""

    categories_ = ([object()],)


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestClassifier(n_estimators=2),
        BaggingClassifier(LogisticRegression(), n_estimators=2),
        make_pipeline(SelectFromModel(LogisticRegression()), LogisticRegression()),
    ],
)
def test_models_of_numbers_know_none(estimator: Any) -> None:
    numbers = FRAME[["amount"]].assign(twice=FRAME["amount"] * 2)

    assert known_categories(estimator.fit(numbers, TARGET), list(numbers)) == {}
    assert known_categories(_Ratio(), ["amount"]) == {}


def _lightgbm() -> Any:
    return pytest.importorskip("lightgbm").LGBMClassifier(n_estimators=2, verbose=-1)


def _xgboost() -> Any:
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=2, enable_categorical=True)


@pytest.mark.parametrize(("make", "refuses"), [(_lightgbm, False), (_xgboost, True)])
def test_boosters_keep_the_categories_of_their_columns(make: Callable[[], Any], *, refuses: bool) -> None:
    frame = FRAME.astype({"plan": "category"})
    model = make().fit(frame, TARGET)

    found = known_categories(model, list(frame))

    assert found == {
        "shop": KnownCategories(SHOPS, native=True, refuses=refuses),
        "plan": KnownCategories(PLANS, native=True, refuses=refuses),
    }


def test_ordered_categories_of_lightgbm_are_found_by_their_codes() -> None:
    frame = FRAME.assign(plan=RNG.choice(list("abcd"), ROWS))
    frame = frame.astype({"plan": pd.CategoricalDtype(list("dcba"), ordered=True)})

    assert known_categories(_lightgbm().fit(frame, TARGET), list(frame)) == {
        "shop": KnownCategories(SHOPS, native=True),
        "plan": KnownCategories(tuple("dcba"), native=True),
    }


def test_ordered_categories_of_lightgbm_beside_numbers_like_codes_are_given_to_no_column() -> None:
    frame = FRAME.astype({"plan": pd.CategoricalDtype(list(PLANS), ordered=True)})
    frame = frame.assign(twin=np.arange(ROWS) % 2)

    assert known_categories(_lightgbm().fit(frame, TARGET), list(frame)) == {}
