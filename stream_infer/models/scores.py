"""The outputs of a model for a batch, in columns, and their check against the contract.

Pure numpy. `predict` asks the estimator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_infer.flow.codes import DeadLetterClass
from stream_infer.models.manifest import OutputContract

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.object_]
Fault = tuple[int, DeadLetterClass, str]

# Probabilities are sums of rounded numbers: 1.0000000000000002 is a one.
_ROUNDING = 1e-9


class OutputShapeError(ValueError):
    """The model's output has another length or shape than its batch: no row of it can be trusted."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The answers to `len(scores)` rows. A column that the contract does not name is None.

    `label` holds `str(class)`; `class_scores` is (n, classes), in the order of the contract. Where each label
    was chosen among the classes of the contract, `winner` is its index: a lookup would be 12 times as slow.
    """

    label: Labels | None = None
    score: Floats | None = None
    value: Floats | None = None
    class_scores: Floats | None = None
    winner: npt.NDArray[np.intp] | None = None

    def __len__(self) -> int:
        column = next((c for c in (self.label, self.score, self.value) if c is not None), None)
        return 0 if column is None else len(column)


def check_scores(scores: Scores, contract: OutputContract, n: int) -> list[Fault]:
    """Return (row, error class, message) for each row out of contract, in row order, one per row.

    Classes: `output_nan`, `output_range` (infinite, or a probability outside [0, 1]), `output_label`. Raises
    `OutputShapeError` when a column is missing or not of `n` rows.
    """
    _check_shape(scores, contract, n)
    faults: dict[int, Fault] = {}
    probabilities = contract.score == "probability"
    for name, column, bounded in (
        ("value", scores.value, False),
        ("score", scores.score, probabilities),
        ("class_scores", scores.class_scores, probabilities),
    ):
        if column is not None:
            _note_numbers(faults, name, column, bounded=bounded)
    if scores.label is not None and scores.winner is None:
        _note_labels(faults, scores.label, frozenset(contract.classes))
    return [faults[row] for row in sorted(faults)]


def _check_shape(scores: Scores, contract: OutputContract, n: int) -> None:
    shapes: dict[str, tuple[int, ...] | None] = {
        "label": None if contract.kind == "regressor" else (n,),
        "score": None if contract.score is None else (n,),
        "value": (n,) if contract.kind == "regressor" else None,
        "class_scores": (n, len(contract.classes)) if contract.class_scores else None,
    }
    for name, shape in shapes.items():
        column = getattr(scores, name)
        found = None if column is None else column.shape
        if found != shape:
            raise OutputShapeError(f"the model's {name} has shape {found}, not {shape}")


def _note_numbers(faults: dict[int, Fault], name: str, column: Floats, *, bounded: bool) -> None:
    # One pass for the usual case without faults; a NaN fails every comparison.
    low, high = (
        (-_ROUNDING, 1 + _ROUNDING) if bounded else (-np.finfo(np.float64).max, np.finfo(np.float64).max)
    )
    good = (column >= low) & (column <= high)
    if good.all():
        return
    bad = ~good.reshape(len(column), -1).all(axis=1)
    for row in np.flatnonzero(bad).tolist():
        if np.isnan(column[row]).any():
            faults.setdefault(row, (row, DeadLetterClass.OUTPUT_NAN, f"the model's {name} is NaN"))
        else:
            faults.setdefault(row, (row, DeadLetterClass.OUTPUT_RANGE, f"the model's {name} is out of range"))


def _note_labels(faults: dict[int, Fault], label: Labels, classes: frozenset[str]) -> None:
    labels = label.tolist()
    if classes.issuperset(labels):
        return
    for row, one in enumerate(labels):
        if one not in classes:
            faults.setdefault(
                row, (row, DeadLetterClass.OUTPUT_LABEL, "the model's label is not one of its classes")
            )
