from __future__ import annotations

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBRegressor

from stream_infer.packaging.trained_columns import TrainedColumns, trained_columns

RNG = np.random.default_rng(5)
FRAME = pd.DataFrame(RNG.normal(size=(60, 2)), columns=["mean radius", "area"])
MATRIX = FRAME.to_numpy()
SUM = MATRIX.sum(axis=1)
TEXTS = FRAME.assign(area=RNG.choice(["a", "b"], 60))
NAMES = ("mean radius", "area")


def catboost(kind: Any = CatBoostRegressor, **settings: Any) -> Any:
    return kind(iterations=3, verbose=0, allow_writing_files=False, **settings)


def lightgbm() -> LGBMRegressor:
    return LGBMRegressor(n_estimators=3, verbose=-1)


def stored(model: Any) -> Any:
    """Return `model` as it comes back from its file."""
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), LinearRegression()),
        XGBRegressor(n_estimators=3),
        catboost(),
        make_pipeline(catboost()),
        GridSearchCV(catboost(), {"depth": [2]}, cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
def test_names_and_number_are_those_of_the_fit(model: Any) -> None:
    assert trained_columns(stored(model.fit(FRAME, SUM))) == TrainedColumns(NAMES, 2)

    on_array = trained_columns(stored(model.fit(MATRIX, SUM)))

    assert on_array == TrainedColumns((), 2)
    assert on_array.on_array


def test_lightgbm_has_an_underscore_for_a_blank_and_no_names_of_an_array() -> None:
    assert trained_columns(stored(lightgbm().fit(FRAME, SUM))) == TrainedColumns(
        ("mean_radius", "area"), 2, blanks_replaced=True
    )
    assert trained_columns(stored(lightgbm().fit(MATRIX, SUM))).on_array


def test_placeholders_of_an_earlier_lightgbm_are_no_names() -> None:
    class Earlier(LGBMRegressor):  # type: ignore[misc] - it has no types
        """Until 4.5 the names of an array were there under this name."""

        feature_names_in_ = np.array(["Column_0", "Column_1"])

    model = lightgbm().fit(MATRIX, SUM)
    model.__class__ = Earlier

    assert trained_columns(model).on_array


def test_an_array_of_objects_is_given_to_catboost_as_a_frame() -> None:
    model = catboost(CatBoostClassifier, cat_features=[1]).fit(TEXTS.to_numpy(), SUM > 0)

    assert trained_columns(stored(model)) == TrainedColumns()


def test_an_estimator_that_tells_nothing_is_taken_as_it_is() -> None:
    assert trained_columns(object()) == TrainedColumns()
