"""`predict` gives the results of the estimator's methods, with as few calls as possible."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC, OneClassSVM

from stream_infer.flow.errors import Refused
from stream_infer.models.manifest import OutputContract
from stream_infer.models.predict import contract_of, predict
from stream_infer.models.scores import OutputShapeError, check_scores

TWO = make_classification(120, 4, n_informative=4, n_redundant=0, random_state=1)
THREE = make_classification(120, 4, n_informative=3, n_redundant=0, n_classes=3, random_state=1)


class CallRecorder:
    """Counts the calls of each method of an estimator."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._estimator, name)
        if not callable(method):
            return method

        def counted(frame: Any) -> Any:
            self.called.append(name)
            return method(frame)

        return counted


@pytest.mark.parametrize(
    ("estimator", "data", "score", "label_from"),
    [
        (LogisticRegression(), TWO, "probability", "proba"),
        (LogisticRegression(), THREE, "probability", "proba"),
        (RandomForestClassifier(5, random_state=1), THREE, "probability", "proba"),
        (make_pipeline(StandardScaler(), LogisticRegression()), TWO, "probability", "proba"),
        (GradientBoostingClassifier(n_estimators=3), TWO, "probability", "predict"),
        (FixedThresholdClassifier(LogisticRegression(), threshold=0.8), TWO, "probability", "predict"),
        (LinearSVC(), TWO, "decision", "decision"),
        (LinearSVC(), THREE, "decision", "decision"),
        (SVC(), TWO, "decision", "predict"),
        (SVC(), THREE, "decision", "predict"),
        (SVC(decision_function_shape="ovo"), make_classification(
            120, 4, n_informative=4, n_redundant=0, n_classes=4, random_state=1), None, "predict"),
        (EllipticEnvelope(random_state=1), TWO, "decision", "decision"),
        (LocalOutlierFactor(novelty=True), TWO, "decision", "decision"),
        (OneClassSVM(), TWO, "decision", "predict"),
    ],
)  # fmt: skip
def test_predictions_are_those_of_the_estimators_methods(
    estimator: Any, data: Any, score: str | None, label_from: str
) -> None:
    x, y = data
    estimator.fit(x, y)

    contract = contract_of(estimator, x)
    scores = predict(estimator, contract, x)

    assert (contract.score, contract.label_from) == (score, label_from)
    assert scores.label is not None
    assert scores.label.tolist() == [str(one) for one in estimator.predict(x)]
    assert check_scores(scores, contract, len(x)) == []


@pytest.mark.parametrize(
    ("estimator", "data", "called"),
    [
        (LogisticRegression(), TWO, ["predict_proba"]),
        (LinearSVC(), TWO, ["decision_function"]),
        (EllipticEnvelope(random_state=1), TWO, ["decision_function"]),
        (GradientBoostingClassifier(n_estimators=3), TWO, ["predict_proba", "predict"]),
    ],
)
def test_an_estimator_is_called_as_seldom_as_possible(estimator: Any, data: Any, called: list[str]) -> None:
    x, y = data
    contract = contract_of(estimator.fit(x, y), x)
    recorder = CallRecorder(estimator)

    predict(recorder, contract, x)

    assert recorder.called == called


def test_a_tuned_threshold_is_kept_without_a_golden_sample_near_it() -> None:
    x, y = TWO
    estimator = FixedThresholdClassifier(LogisticRegression(), threshold=0.8).fit(x, y)
    probability = estimator.predict_proba(x)[:, 1]
    golden = x[(probability < 0.4) | (probability > 0.9)]

    scores = predict(estimator, contract_of(estimator, golden), x)

    assert ((probability > 0.5) & (probability < 0.8)).any()
    assert scores.label is not None
    assert scores.label.tolist() == [str(one) for one in estimator.predict(x)]


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_a_threshold_decides_between_two_classes(threshold: float) -> None:
    x, y = TWO
    estimator = LogisticRegression().fit(x, np.where(y == 1, "yes", "no"))

    scores = predict(estimator, contract_of(estimator, x, threshold=threshold), x)

    expected = np.where(estimator.predict_proba(x)[:, 1] >= threshold, "yes", "no")
    assert scores.label is not None
    assert scores.label.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "values", [[0, 1], [0.0, 1.0], [False, True], ["a", "b"], [np.float32(1), np.float32(7)]]
)
@pytest.mark.parametrize("label_from", ["proba", "predict"])
def test_labels_are_the_classes_as_text(values: list[Any], label_from: Any) -> None:
    x, y = TWO
    own = np.array(values)[y]
    estimator = LogisticRegression().fit(x, own)

    contract = replace(contract_of(estimator, x), label_from=label_from)
    scores = predict(estimator, contract, x)

    assert scores.label is not None
    assert set(scores.label) == {str(one) for one in np.unique(own)}
    assert check_scores(scores, contract, len(x)) == []


def test_class_scores_are_in_the_order_of_the_classes() -> None:
    x, y = THREE
    estimator = LogisticRegression().fit(x, y)

    scores = predict(estimator, contract_of(estimator, x, class_scores=True), x)

    np.testing.assert_array_equal(scores.class_scores, estimator.predict_proba(x))


def test_a_model_of_a_single_class_predicts() -> None:
    x = np.zeros((3, 1))
    estimator = DummyClassifier().fit(x, ["only"] * 3)

    scores = predict(estimator, contract_of(estimator, x), x)

    assert scores.label is not None
    assert scores.label.tolist() == ["only"] * 3
    np.testing.assert_array_equal(scores.score, [1.0] * 3)


def test_a_regressor_trained_on_a_column_vector_predicts_one_value_per_row() -> None:
    x = np.arange(4.0).reshape(-1, 1)

    scores = predict(LinearRegression().fit(x, x), OutputContract("regressor"), x)

    assert scores.value is not None
    assert scores.value.shape == (4,)


@pytest.mark.parametrize("estimator", [StandardScaler(), LinearRegression])
def test_an_estimator_without_predictions_has_no_contract(estimator: Any) -> None:
    with pytest.raises(Refused) as refused:
        contract_of(StandardScaler(), np.zeros((1, 1)))

    assert refused.value.code == "output"


def test_several_outputs_are_refused() -> None:
    x, y = TWO
    estimator = RandomForestClassifier(2).fit(x, np.column_stack([y, y]))

    with pytest.raises(Refused) as refused:
        contract_of(estimator, x)

    assert refused.value.code == "output"


class Odd:
    """Predicts one row too few."""

    def predict(self, frame: Any) -> Any:
        return np.zeros(len(frame) - 1)

    def predict_proba(self, frame: Any) -> Any:
        return np.zeros((len(frame), 3))


@pytest.mark.parametrize(
    "contract",
    [OutputContract("regressor"), OutputContract("classifier", ("a", "b"), score="probability")],
)
def test_an_output_that_is_not_one_per_row_fails_the_batch(contract: OutputContract) -> None:
    with pytest.raises(OutputShapeError):
        predict(Odd(), contract, np.zeros((3, 1)))  # type: ignore[arg-type]
