"""Metrics of labelled predictions are those of scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    median_absolute_error,
)

from stream_infer.drift.labels import Pair, Predicted, Truth
from stream_infer.drift.model_metrics import (
    OutputMeaning,
    PairOutcome,
    confidence,
    median_delay_ms,
    metrics_of,
    pair_outcome,
)

BINARY = OutputMeaning(("no", "yes"), probability=True)


def pair(
    label: str | None = None,
    score: float | None = None,
    truth: str | None = None,
    *,
    value: float | None = None,
    true_value: float | None = None,
    delay_ms: int = 0,
) -> Pair:
    predicted = Predicted("id", "1.0.0", "d1", 1_000, 1_000, label, score, value)
    return Pair(predicted, Truth("id", 2_000, 1_000 + delay_ms, truth, true_value))


def test_metrics_of_two_classes_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(1)
    scores = draw.random(500)
    truths = (draw.random(500) < scores).astype(int)
    labels = (scores >= 0.5).astype(int)
    names = np.array(BINARY.classes)
    rows = zip(names[labels], scores, names[truths], strict=True)

    metrics = metrics_of([pair_outcome(pair(str(a), float(s), str(b)), BINARY) for a, s, b in rows])

    assert metrics["accuracy"].value == pytest.approx(accuracy_score(truths, labels))
    assert metrics["log_loss"].value == pytest.approx(log_loss(truths, scores))
    assert metrics["brier"].value == pytest.approx(brier_score_loss(truths, scores))
    assert {metric.labelled for metric in metrics.values()} == {500}
    assert "mae" not in metrics


def test_the_error_of_a_regressor_is_that_of_scikit_learn() -> None:
    draw = np.random.default_rng(2)
    values, truths = draw.normal(size=100), draw.normal(size=100)
    rows = zip(values.tolist(), truths.tolist(), strict=True)

    metrics = metrics_of([pair_outcome(pair(value=v, true_value=t), OutputMeaning()) for v, t in rows])

    assert list(metrics) == ["mae", "median_absolute_error"]
    assert metrics["median_absolute_error"].value == median_absolute_error(truths, values)
    assert metrics["mae"].value == pytest.approx(mean_absolute_error(truths, values))


def test_a_certain_and_wrong_prediction_costs_36_not_infinity() -> None:
    [outcome] = [pair_outcome(pair("yes", 1.0, "no"), BINARY)]

    assert metrics_of([outcome])["log_loss"].value == pytest.approx(36.04, abs=0.01)


@pytest.mark.parametrize("score", [math.nan, -0.1, 1.5, None])
def test_a_score_that_is_no_probability_is_left_out(score: float | None) -> None:
    outcome = pair_outcome(pair("yes", score, "yes"), BINARY)

    assert outcome == PairOutcome(True, None, None, None, 0, ("yes", "yes"))


def test_a_truth_that_is_no_class_is_wrong_and_has_no_probability() -> None:
    outcome = pair_outcome(pair("yes", 0.9, "perhaps"), BINARY)

    assert (outcome.correct, outcome.truth_probability) == (False, None)


@pytest.mark.parametrize(
    ("label", "score", "classes", "expected"),
    [
        ("yes", 0.9, ("no", "yes"), 0.9),
        ("no", 0.2, ("no", "yes"), 0.8),
        ("b", 0.6, ("a", "b", "c"), 0.6),
    ],
)
def test_confidence_is_the_probability_of_the_models_own_label(
    label: str, score: float, classes: tuple[str, ...], expected: float
) -> None:
    predicted = pair(label, score).predicted

    assert confidence(predicted, OutputMeaning(classes, probability=True)) == pytest.approx(expected)
    assert confidence(predicted, OutputMeaning(classes)) is None


def test_delays_are_from_the_event_and_never_negative() -> None:
    outcomes = [pair_outcome(pair("yes", 0.5, "yes", delay_ms=ms), BINARY) for ms in (-500, 100, 300, 900)]

    assert [one.delay_ms for one in outcomes] == [0, 100, 300, 900]
    assert median_delay_ms(outcomes) == 100


@pytest.mark.parametrize(
    ("classes", "truths"),
    [
        (("0.0", "1.0"), ("0", "1")),
        (("0", "1"), ("0.0", "1.0")),
        (("False", "True"), ("0", "1")),
        (("False", "True"), ("false", "true")),
        (("0", "1"), ("False", "True")),
        (("no", "yes"), ("no", "yes")),
    ],
)
def test_a_label_of_the_class_s_value_is_correct(classes: tuple[str, str], truths: tuple[str, str]) -> None:
    meaning = OutputMeaning(classes, probability=True)
    rows = [pair(one, 0.75, truth) for one in classes for truth in truths]

    outcomes = [pair_outcome(row, meaning) for row in rows]

    assert [one.correct for one in outcomes] == [True, False, False, True]
    assert [one.truth_probability for one in outcomes] == [0.25, 0.75, 0.25, 0.75]


def test_a_number_names_a_class_and_text_a_number() -> None:
    classes = OutputMeaning(("0", "1"), probability=True)

    assert pair_outcome(pair("1", 0.9, true_value=1.0), classes).correct is True
    assert pair_outcome(pair(value=2.5, truth="2"), OutputMeaning()).absolute_error == 0.5


def test_a_label_of_a_model_whose_package_is_gone_is_compared_with_the_prediction() -> None:
    assert pair_outcome(pair("1.0", truth="1"), OutputMeaning()).correct is True
    assert pair_outcome(pair("1.0", truth="0"), OutputMeaning()).correct is False
