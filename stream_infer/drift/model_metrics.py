"""Metrics of labelled predictions: accuracy, log loss, Brier score (Brier 1950) and mean absolute error.

Sums are exact, so the order of pairs makes no difference and a recomputation gives the same numbers.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_infer.drift.labels import Pair, Predicted

ACCURACY = "accuracy"
LOG_LOSS = "log_loss"
BRIER = "brier"
MAE = "mae"

_TWO = 2
# As scikit-learn's `log_loss` does: a certain and wrong prediction costs 36, not infinity.
_LEAST_PROBABILITY = sys.float_info.epsilon


@dataclass(frozen=True, slots=True)
class OutputMeaning:
    """The meaning of a model's labels and scores. `classes` are empty for a regressor.

    With two classes a score is P(classes[1]), with more P(label). `probability` is False for other scores.
    """

    classes: tuple[str, ...] = ()
    probability: bool = False


@dataclass(frozen=True, slots=True)
class PairOutcome:
    """What a pair adds to the metrics; None where it does not tell.

    `correct`: the label is the true one. `truth_probability`: P(true class). `confidence`: P(predicted
    class). `absolute_error`: |value - truth| in the units of the value.
    """

    correct: bool | None
    truth_probability: float | None
    confidence: float | None
    absolute_error: float | None
    delay_ms: int


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A metric, and the number of labels behind it."""

    value: float
    labelled: int


def pair_outcome(pair: Pair, meaning: OutputMeaning) -> PairOutcome:
    """Return what `pair` adds to the metrics."""
    predicted, truth = pair
    correct = absolute_error = None
    if predicted.label is not None and truth.label is not None:
        correct = predicted.label == truth.label
    if predicted.value is not None and truth.value is not None:
        absolute_error = abs(predicted.value - truth.value)
    return PairOutcome(
        correct,
        _truth_probability(pair, meaning),
        confidence(predicted, meaning),
        absolute_error,
        pair.delay_ms,
    )


def metrics_of(outcomes: Sequence[PairOutcome]) -> Mapping[str, MetricValue]:
    """Return the metrics that `outcomes` allow, by name."""
    metrics: dict[str, MetricValue] = {}
    correct = [one.correct for one in outcomes if one.correct is not None]
    if correct:
        metrics[ACCURACY] = MetricValue(sum(correct) / len(correct), len(correct))
    probabilities = [one.truth_probability for one in outcomes if one.truth_probability is not None]
    if probabilities:
        count = len(probabilities)
        losses = [-math.log(max(_LEAST_PROBABILITY, probability)) for probability in probabilities]
        metrics[LOG_LOSS] = MetricValue(_mean(losses), count)
        metrics[BRIER] = MetricValue(_mean([(1 - probability) ** 2 for probability in probabilities]), count)
    errors = [one.absolute_error for one in outcomes if one.absolute_error is not None]
    if errors:
        metrics[MAE] = MetricValue(_mean(errors), len(errors))
    return metrics


def median_delay_ms(outcomes: Sequence[PairOutcome]) -> int:
    """Return the delay within which half of the labels came, in milliseconds."""
    return statistics.median_low(one.delay_ms for one in outcomes)


def confidence(predicted: Predicted, meaning: OutputMeaning) -> float | None:
    """Return the probability that the model gives to its own label, if its score is a probability."""
    score = _probability(predicted.score)
    if not meaning.probability or score is None:
        return None
    return 1.0 - score if len(meaning.classes) == _TWO and predicted.label != meaning.classes[1] else score


def _truth_probability(pair: Pair, meaning: OutputMeaning) -> float | None:
    """Return the probability that a model of two classes gave to the true one."""
    score, truth = _probability(pair.predicted.score), pair.truth.label
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
