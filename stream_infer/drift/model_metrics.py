"""Metrics of labelled predictions: accuracy, recall, precision, F1, log loss, Brier score (Brier 1950), MAE.

Sums are exact, so the order of pairs makes no difference and a recomputation gives the same numbers.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_infer.drift.error_samples import ErrorSample
from stream_infer.drift.label_values import label_value, matching_class
from stream_infer.drift.labels import Pair, Predicted, Truth

ACCURACY = "accuracy"
RECALL = "recall"
PRECISION = "precision"
F1 = "f1"
LOG_LOSS = "log_loss"
BRIER = "brier"
MAE = "mae"
MEDIAN_ERROR = "median_absolute_error"

_TWO = 2
# As scikit-learn's `log_loss` does: a certain and wrong prediction costs 36, not infinity.
_LEAST_PROBABILITY = sys.float_info.epsilon


@dataclass(frozen=True, slots=True)
class OutputMeaning:
    """The meaning of a model's labels and scores. `classes` are empty for a regressor.

    With two classes a score is P(classes[1]), with more P(label). `probability` is False for other scores.
    `promise` are the errors of the model in training, where its package has them.
    """

    classes: tuple[str, ...] = ()
    probability: bool = False
    promise: ErrorSample | None = None


@dataclass(frozen=True, slots=True)
class PairOutcome:
    """What a pair adds to the metrics; None where it does not tell.

    `correct`: the label is the true one. `truth_probability`: P(true class). `confidence`: P(predicted
    class). `absolute_error`: |value - truth| in the units of the value. `classes`: the predicted and the true
    class.
    """

    correct: bool | None
    truth_probability: float | None
    confidence: float | None
    absolute_error: float | None
    delay_ms: int
    classes: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A metric, and the number of labels behind it."""

    value: float
    labelled: int


def pair_outcome(pair: Pair, meaning: OutputMeaning) -> PairOutcome:
    """Return what `pair` adds to the metrics."""
    predicted, truth = pair
    true_class, true_value = _true_class(pair, meaning), _true_value(truth)
    correct = absolute_error = None
    if predicted.label is not None and true_class is not None:
        correct = predicted.label == true_class
    if predicted.value is not None and true_value is not None:
        absolute_error = abs(predicted.value - true_value)
    return PairOutcome(
        correct,
        _truth_probability(predicted, true_class, meaning),
        confidence(predicted, meaning),
        absolute_error,
        pair.delay_ms,
        None if predicted.label is None or true_class is None else (predicted.label, true_class),
    )


def metrics_of(outcomes: Sequence[PairOutcome], classes: Sequence[str] = ()) -> Mapping[str, MetricValue]:
    """Return the metrics that `outcomes` allow, by name; recall, precision and F1 of a model of `classes`."""
    metrics: dict[str, MetricValue] = {}
    correct = [one.correct for one in outcomes if one.correct is not None]
    if correct:
        metrics[ACCURACY] = MetricValue(sum(correct) / len(correct), len(correct))
    metrics |= _of_classes([one.classes for one in outcomes if one.classes is not None], classes)
    probabilities = [one.truth_probability for one in outcomes if one.truth_probability is not None]
    if probabilities:
        count = len(probabilities)
        losses = [-math.log(max(_LEAST_PROBABILITY, probability)) for probability in probabilities]
        metrics[LOG_LOSS] = MetricValue(_mean(losses), count)
        metrics[BRIER] = MetricValue(_mean([(1 - probability) ** 2 for probability in probabilities]), count)
    errors = [one.absolute_error for one in outcomes if one.absolute_error is not None]
    if errors:
        metrics[MAE] = MetricValue(_mean(errors), len(errors))
        metrics[MEDIAN_ERROR] = MetricValue(statistics.median(errors), len(errors))
    return metrics


def _class_figures(pairs: Sequence[tuple[str, str]]) -> Mapping[str, tuple[int, int, int]]:
    """Return correct, predicted and true labels of each class in `pairs` of predicted and true class."""
    correct = Counter(true for predicted, true in pairs if predicted == true)
    predicted, true = Counter(one for one, _ in pairs), Counter(one for _, one in pairs)
    return {name: (correct[name], predicted[name], true[name]) for name in sorted({*predicted, *true})}


def _of_classes(pairs: Sequence[tuple[str, str]], classes: Sequence[str]) -> Mapping[str, MetricValue]:
    """Return recall, precision and F1: of the second of two classes, or the mean over more of them.

    The number of labels behind each is that of its denominators. What has none is left out.
    """
    figures = _class_figures(pairs)
    named = [figures[name] for name in (classes[1:] if len(classes) == _TWO else classes) if name in figures]
    ratios = {
        RECALL: [(correct, true) for correct, _, true in named if true],
        PRECISION: [(correct, predicted) for correct, predicted, _ in named if predicted],
        F1: [(2 * correct, predicted + true) for correct, predicted, true in named],
    }
    return {
        metric: MetricValue(_mean([part / whole for part, whole in of]), sum(whole for _, whole in of))
        for metric, of in ratios.items()
        if of
    }


def median_delay_ms(outcomes: Sequence[PairOutcome]) -> int:
    """Return the delay within which half of the labels came, in milliseconds."""
    return statistics.median_low(one.delay_ms for one in outcomes)


def confidence(predicted: Predicted, meaning: OutputMeaning) -> float | None:
    """Return the probability that the model gives to its own label, if its score is a probability."""
    score = _probability(predicted.score)
    if not meaning.probability or score is None:
        return None
    return 1.0 - score if len(meaning.classes) == _TWO and predicted.label != meaning.classes[1] else score


def _true_class(pair: Pair, meaning: OutputMeaning) -> str | None:
    """Return the class that the label names, or the label where it names none."""
    predicted, truth = pair
    label = truth.label if truth.label is not None or truth.value is None else str(truth.value)
    if label is None or predicted.label is None:
        return None
    return matching_class(label, meaning.classes or (predicted.label,))


def _true_value(truth: Truth) -> float | None:
    value = None if truth.label is None else label_value(truth.label)
    return truth.value if truth.value is not None or value is None else float(value)


def _truth_probability(predicted: Predicted, truth: str | None, meaning: OutputMeaning) -> float | None:
    """Return the probability that a model of two classes gave to the true one."""
    score = _probability(predicted.score)
    if not meaning.probability or len(meaning.classes) != _TWO or score is None:
        return None
    if truth not in meaning.classes:
        return None
    return score if truth == meaning.classes[1] else 1.0 - score


def _probability(score: float | None) -> float | None:
    """Return `score` if it is within 0 and 1; a NaN compares with nothing."""
    return score if score is not None and 0.0 <= score <= 1.0 else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
