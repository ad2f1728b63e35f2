"""How good answers are: accuracy, log loss, Brier score and absolute error of predictions with their truth.

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
# As scikit-learn's `log_loss` does: certainty that was wrong costs 36, not infinity.
_LEAST_PROBABILITY = sys.float_info.epsilon


@dataclass(frozen=True, slots=True)
class OutputMeaning:
    """What a model's labels and scores mean. `classes` are empty for a regressor.

    With two classes a score is P(classes[1]), with more P(label). `probability` is False for other scores.
    """

    classes: tuple[str, ...] = ()
    probability: bool = False


@dataclass(frozen=True, slots=True)
class PairOutcome:
    """What a pair says: whether the label was right, P(truth), how sure the model was, the absolute error."""

    right: bool | None
    chance: float | None
    confidence: float | None
    apart: float | None
    delay_ms: int


@dataclass(frozen=True, slots=True)
class MetricValue:
    """A figure, and how many labels it rests on."""

    value: float
    labelled: int


def pair_outcome(pair: Pair, answers: OutputMeaning) -> PairOutcome:
    """Return what `pair` adds to the figures."""
    said, truth = pair.predicted, pair.truth
    both = said.label is not None and truth.label is not None
    return PairOutcome(
        said.label == truth.label if both else None,
        _chance(pair, answers),
        confidence(said, answers),
        abs(said.value - truth.value) if said.value is not None and truth.value is not None else None,
        pair.delay_ms,
    )


def metrics_of(marks: Sequence[PairOutcome]) -> Mapping[str, MetricValue]:
    """Return the figures that `marks` allow."""
    figures: dict[str, MetricValue] = {}
    right = [one.right for one in marks if one.right is not None]
    if right:
        figures[ACCURACY] = MetricValue(sum(right) / len(right), len(right))
    chances = [one.chance for one in marks if one.chance is not None]
    if chances:
        losses = [-math.log(max(_LEAST_PROBABILITY, chance)) for chance in chances]
        figures[LOG_LOSS] = MetricValue(_mean(losses), len(losses))
        figures[BRIER] = MetricValue(_mean([(1 - chance) ** 2 for chance in chances]), len(chances))
    apart = [one.apart for one in marks if one.apart is not None]
    if apart:
        figures[MAE] = MetricValue(_mean(apart), len(apart))
    return figures


def median_delay_ms(marks: Sequence[PairOutcome]) -> int:
    """Return the delay within which half of the labels came."""
    return statistics.median_low(one.delay_ms for one in marks)


def confidence(one: Predicted, answers: OutputMeaning) -> float | None:
    """Return how sure the model is of the label that it gives, if its score says so."""
    score = _probability(one.score)
    if not answers.probability or score is None:
        return None
    return 1.0 - score if len(answers.classes) == _TWO and one.label != answers.classes[1] else score


def _chance(pair: Pair, answers: OutputMeaning) -> float | None:
    """Return the probability that a model of two classes gave to the truth."""
    score, truth = _probability(pair.predicted.score), pair.truth.label
    if not answers.probability or len(answers.classes) != _TWO or score is None:
        return None
    if truth not in answers.classes:
        return None
    return score if truth == answers.classes[1] else 1.0 - score


def _probability(score: float | None) -> float | None:
    """Return `score` if it is one; a NaN compares with nothing."""
    return score if score is not None and 0.0 <= score <= 1.0 else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
