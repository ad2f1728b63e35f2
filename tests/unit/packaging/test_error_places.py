"""A problem is reported where it is: of the model, the golden sample, or the reference; its fix leads on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression

from stream_infer.flow.errors import Misconfigured, Problem
from tests.unit.packaging.workshop import Workshop

FRAME = pd.DataFrame({"a": np.arange(12.0), "b": np.arange(12.0) % 5})
TARGET = FRAME["a"] * 2 + FRAME["b"]
SCHEMA = {
    "type": "record",
    "name": "E",
    "fields": [{"name": "a", "type": ["null", "double"]}, {"name": "b", "type": "double"}],
}


class Untagged:
    """A model of one's own, as scikit-learn's documentation warns of: without tags."""

    n_features_in_ = 2
    feature_names_in_ = np.array(["a", "b"], dtype=object)

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return np.asarray(X["a"] * 2 + X["b"])


class Tagged(RegressorMixin, Untagged, BaseEstimator):
    """The same model as the fix of the problem tells."""


class Short(Tagged):
    """A model without an answer to the last row."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return super().predict(X)[:-1]


def problem(workshop: Workshop, model: Any, golden: pd.DataFrame = FRAME, **more: Any) -> Problem:
    with pytest.raises(Misconfigured) as caught:
        workshop.create(model, golden, schema=SCHEMA, **more)
    [found] = caught.value.problems
    return found


def test_a_model_without_tags_is_a_problem_of_the_model(workshop: Workshop) -> None:
    found = problem(workshop, Untagged())

    assert (found.key, found.value) == ("MODEL", "Untagged")
    assert "no scikit-learn tags" in found.message
    assert "RegressorMixin" in found.fix
    assert workshop.create(Tagged(), FRAME, schema=SCHEMA).rows == 12


def test_an_answer_of_another_shape_is_a_problem_of_the_model(workshop: Workshop) -> None:
    found = problem(workshop, Short())

    assert (found.key, found.value) == ("MODEL", "Short")
    assert "predict gives shape (11,), not one output per row" in found.message


def test_rows_of_the_reference_are_a_problem_of_the_reference(workshop: Workshop) -> None:
    model = LinearRegression().fit(FRAME, TARGET)
    holes = FRAME.assign(a=[np.nan] * 12)

    raising = problem(workshop, model, reference=workshop.csv("reference.csv", holes), missing=("a=pass",))
    rejected = problem(workshop, model, reference=workshop.csv("reference.csv", holes), missing=("a=reject",))
    imputed = workshop.create(
        model, FRAME, schema=SCHEMA, reference=workshop.folder / "reference.csv", missing=("a=impute:0",)
    )

    assert raising.key == "--reference"
    assert "Input X contains NaN" in raising.message
    assert (rejected.key, rejected.fix) == ("--reference", "give rows that the model should score")
    assert imputed.rows == 12
