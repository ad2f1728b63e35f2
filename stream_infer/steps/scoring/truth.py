"""Answers against the true labels of a data set: sums that add up over batches, and their metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Floats, Scores

CALIBRATION_BINS = 10
_LEAST_PROBABILITY = 1e-15


@dataclass(frozen=True, slots=True)
class LabelledSums:
    """Sums over `labelled` rows: those that were answered, and whose label is there.

    `confusion` counts pairs of true and predicted label; `probable` rows have a probability. `calibration`
    has for each tenth of the probability of the second class (of two), or of the label, how many rows, the
    sum of their probabilities, and how many of them are true. `absolute` and `squared` are errors of a
    regressor.
    """

    labelled: int = 0
    confusion: Mapping[tuple[str, str], int] = field(default_factory=dict)
    probable: int = 0
    log_loss: float = 0.0
    brier: float = 0.0
    calibration: tuple[tuple[float, float, float], ...] = ()
    absolute: float = 0.0
    squared: float = 0.0

    @property
    def accuracy(self) -> float | None:
        """The share of rows with the true label."""
        right = sum(count for (true, label), count in self.confusion.items() if true == label)
        return right / self.labelled if self.confusion else None

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics that these sums give, by name: in the unit of the target, or without one."""
        found: dict[str, float] = {}
        if self.accuracy is not None:
            found["accuracy"] = self.accuracy
        if self.probable:
            found["log loss"] = self.log_loss / self.probable
            found["Brier score"] = self.brier / self.probable
        if self.labelled and not self.confusion:
            found["mean absolute error"] = self.absolute / self.labelled
            found["root mean squared error"] = float(np.sqrt(self.squared / self.labelled))
        return found


def merge_truth(one: LabelledSums, other: LabelledSums) -> LabelledSums:
    """Return the sums over the rows of both."""
    confusion = Counter(one.confusion)
    confusion.update(other.confusion)
    pairs = (
        zip(one.calibration, other.calibration, strict=True) if one.calibration and other.calibration else ()
    )
    added = tuple(tuple(map(sum, zip(a, b, strict=True))) for a, b in pairs)
    return replace(
        one,
        labelled=one.labelled + other.labelled,
        confusion=dict(confusion),
        probable=one.probable + other.probable,
        log_loss=one.log_loss + other.log_loss,
        brier=one.brier + other.brier,
        calibration=added or one.calibration or other.calibration,  # type: ignore[arg-type]  # triples
        absolute=one.absolute + other.absolute,
        squared=one.squared + other.squared,
    )


def truth_of(labels: pa.Array, scores: Scores, contract: OutputContract) -> LabelledSums:
    """Return the sums over the rows of `scores`, whose true labels are `labels` (null: none)."""
    there = np.flatnonzero(labels.is_valid().to_numpy(zero_copy_only=False))
    if not len(there) or not len(scores):
        return LabelledSums()
    labels = labels.take(pa.array(there))
    if contract.kind == "regressor":
        return _of_numbers(labels, scores, there)
    true = np.asarray([_text(one, contract) for one in labels.to_pylist()], object)
    predicted = _labels(scores, contract)[there]
    confusion = Counter(zip(true.tolist(), predicted.tolist(), strict=True))
    truth = LabelledSums(labelled=len(there), confusion=dict(confusion))
    probabilities = _probabilities(scores, contract)
    return (
        truth if probabilities is None else _with_probabilities(truth, true, probabilities[there], contract)
    )


def _of_numbers(labels: pa.Array, scores: Scores, rows: NDArray[np.intp]) -> LabelledSums:
    if scores.value is None:
        return LabelledSums()
    errors = scores.value[rows] - labels.cast(pa.float64(), safe=False).to_numpy()
    errors = errors[np.isfinite(errors)]
    return LabelledSums(
        labelled=len(errors), absolute=float(np.abs(errors).sum()), squared=float((errors**2).sum())
    )


def _text(value: object, contract: OutputContract) -> str:
    """Return a true label as the contract writes it: a whole number that pandas made a float is whole."""
    text = str(value)
    if text not in contract.classes and isinstance(value, float) and value.is_integer():
        return str(int(value))
    return text


def _labels(scores: Scores, contract: OutputContract) -> NDArray[np.object_]:
    if scores.winner is not None:
        return np.asarray(contract.classes, object)[scores.winner]
    return np.empty(len(scores), object) if scores.label is None else scores.label


def _probabilities(scores: Scores, contract: OutputContract) -> Floats | None:
    """Return the probability of each class (rows, classes), where the answers have it."""
    if contract.score != "probability":
        return None
    if scores.class_scores is not None:
        return scores.class_scores
    if len(contract.classes) == 2 and scores.score is not None:  # noqa: PLR2004 - the score is of the second
        return np.column_stack([1 - scores.score, scores.score])
    return None


def _with_probabilities(
    truth: LabelledSums, true: NDArray[np.object_], probabilities: Floats, contract: OutputContract
) -> LabelledSums:
    known = {name: index for index, name in enumerate(contract.classes)}
    index = np.asarray([known.get(name, -1) for name in true.tolist()], np.intp)
    probabilities, index = probabilities[index >= 0], index[index >= 0]
    if not len(index):
        return truth
    of_true = probabilities[np.arange(len(index)), index]
    one_hot = np.zeros_like(probabilities)
    one_hot[np.arange(len(index)), index] = 1
    squares = (probabilities - one_hot) ** 2
    two = len(contract.classes) == 2  # noqa: PLR2004 - the score is that of the second class
    shown = probabilities[:, 1] if two else probabilities.max(axis=1)
    hit = index == 1 if two else index == probabilities.argmax(axis=1)
    place = np.minimum((shown * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
    sums = [np.bincount(place, weights, CALIBRATION_BINS) for weights in (None, shown, hit.astype(float))]
    return replace(
        truth,
        probable=len(index),
        log_loss=float(-np.log(np.clip(of_true, _LEAST_PROBABILITY, 1)).sum()),
        brier=float((squares[:, 1] if two else squares.sum(axis=1)).sum()),
        calibration=tuple(zip(*(column.tolist() for column in sums), strict=True)),
    )


def truth_to_document(truth: LabelledSums) -> dict[str, object]:
    """Return `truth` as JSON values."""
    return {
        "labelled": truth.labelled,
        "confusion": [[*pair, count] for pair, count in truth.confusion.items()],
        "sums": [truth.probable, truth.log_loss, truth.brier, truth.absolute, truth.squared],
        "calibration": [list(one) for one in truth.calibration],
    }


def truth_from_document(document: Mapping[str, object]) -> LabelledSums:
    """Return what `truth_to_document` wrote."""
    confusion, calibration = document["confusion"], document["calibration"]
    sums, labelled = document["sums"], document["labelled"]
    if not isinstance(confusion, list) or not isinstance(calibration, list) or not isinstance(sums, list):
        raise ValueError("sums over labels cannot be read")  # noqa: TRY004 - a damaged file
    probable, log_loss, brier, absolute, squared = sums
    return LabelledSums(
        labelled=int(str(labelled)),
        confusion={(true, label): count for true, label, count in confusion},
        probable=probable,
        log_loss=log_loss,
        brier=brier,
        calibration=tuple((a, b, c) for a, b, c in calibration),
        absolute=absolute,
        squared=squared,
    )
