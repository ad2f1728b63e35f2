"""Columns to scores with estimators of scikit-learn, which disagree about bad values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression

from stream_infer.models.load import Model
from stream_infer.models.manifest import OutputContract, Policy
from stream_infer.steps.scoring.infer import infer
from tests.unit.steps.world import feature, manifest

NAMES = ("a", "b", "c")
ROWS = np.random.default_rng(7).normal(size=(200, 3))
SAID = np.where(ROWS.sum(axis=1) > 0, "yes", "no")
CLASSIFIER = OutputContract("classifier", ("no", "yes"), score="probability", label_from="proba")


def served(estimator: Any, output: OutputContract = CLASSIFIER) -> Model:
    features = [feature(name, "double", nan=Policy.PASS, infinite=Policy.PASS) for name in NAMES]
    kept = manifest(features, output=output)
    return Model(kept, kept.digest, estimator)


def columns(rows: np.ndarray) -> dict[str, pa.Array]:
    return {name: pa.array(rows[:, index]) for index, name in enumerate(NAMES)}


def test_scores_are_the_estimator_s_own() -> None:
    estimator = LogisticRegression().fit(ROWS, SAID)

    inferred = infer(served(estimator), columns(ROWS))

    assert inferred.rows.tolist() == list(range(200))
    assert inferred.scores.score is not None
    np.testing.assert_allclose(
        inferred.scores.score, estimator.predict_proba(ROWS)[:, 1], rtol=1e-9, atol=1e-12
    )
    assert inferred.scores.label is not None
    assert inferred.scores.label.tolist() == estimator.predict(ROWS).tolist()


def test_an_estimator_that_raises_for_the_whole_batch_costs_the_bad_rows_only() -> None:
    estimator = LogisticRegression().fit(ROWS, SAID)
    rows = ROWS.copy()
    rows[17, 1] = np.nan
    rows[18, 2] = np.inf

    inferred = infer(served(estimator), columns(rows))

    good = np.delete(np.arange(200), [17, 18])
    assert [(r.row, r.error_class) for r in inferred.rejected] == [(17, "raised"), (18, "raised")]
    assert inferred.rows.tolist() == good.tolist()
    assert inferred.scores.score is not None
    np.testing.assert_allclose(
        inferred.scores.score, estimator.predict_proba(ROWS[good])[:, 1], rtol=1e-9, atol=1e-12
    )


def test_an_estimator_that_takes_nan_answers_it() -> None:
    estimator = HistGradientBoostingClassifier(max_iter=2).fit(ROWS, SAID)
    rows = ROWS.copy()
    rows[17, 1] = np.nan

    assert len(infer(served(estimator), columns(rows)).rows) == 200


def test_outlier_models_and_regressors_answer_too() -> None:
    forest = IsolationForest(n_estimators=5, random_state=0).fit(ROWS)
    line = LinearRegression().fit(ROWS, ROWS[:, 0])
    outlier = OutputContract("outlier", ("-1", "1"), score="decision", label_from="decision")

    odd = infer(served(forest, outlier), columns(ROWS)).scores
    value = infer(served(line, OutputContract("regressor")), columns(ROWS)).scores

    assert odd.label is not None
    assert odd.label.tolist() == [str(one) for one in forest.predict(ROWS)]
    assert value.value is not None
    np.testing.assert_allclose(value.value, line.predict(ROWS), rtol=1e-9, atol=1e-12)


class Shapes:
    """Answers a batch with one row too few, and a single row with `single` rows."""

    classes_ = np.array(["no", "yes"])

    def __init__(self, single: int) -> None:
        self.single = single

    def predict_proba(self, matrix: np.ndarray) -> np.ndarray:
        return np.full((self.single if len(matrix) == 1 else len(matrix) - 1, 2), 0.5)


def test_an_answer_of_the_wrong_length_is_asked_for_again_in_smaller_parts() -> None:
    inferred = infer(served(Shapes(single=1)), columns(ROWS[:30]))

    assert len(inferred.rows) == 30


def test_a_row_whose_answer_has_the_wrong_shape_has_its_own_class() -> None:
    inferred = infer(served(Shapes(single=2)), columns(ROWS[:3]))

    assert [r.error_class for r in inferred.rejected] == ["output_shape"] * 3


@pytest.mark.parametrize("bad", [0, 1, 99, 199])
def test_an_answer_out_of_contract_costs_its_row_only(bad: int) -> None:
    estimator = LinearRegression().fit(ROWS, ROWS[:, 0])
    estimator.coef_ = np.array([1.0, 0.0, 0.0])
    rows = ROWS.copy()
    rows[bad, 0] = 1e308
    estimator.coef_[0] = 1e10

    with np.errstate(over="ignore"):
        inferred = infer(served(estimator, OutputContract("regressor")), columns(rows))

    assert [(r.row, r.error_class) for r in inferred.rejected] == [(bad, "output_range")]


def test_no_rows_are_no_scores() -> None:
    inferred = infer(served(None), columns(ROWS[:0]))

    assert len(inferred.rows) == 0
    assert inferred.rejected == ()
