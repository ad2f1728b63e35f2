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
    `values` is (n, values), in the order of the contract; `value` is its primary column then, or None.
    """

    label: Labels | None = None
    score: Floats | None = None
    value: Floats | None = None
    class_scores: Floats | None = None
    winner: npt.NDArray[np.intp] | None = None
    values: Floats | None = None

    def __len__(self) -> int:
        columns = (self.label, self.score, self.value, self.values)
        column = next((c for c in columns if c is not None), None)
        return 0 if column is None else len(column)

    def numbers(self, contract: OutputContract) -> dict[str, Floats]:
        """Return a column for each of the contract's `numbers`; none where no row was answered."""
        if not len(self):
            return dict.fromkeys(contract.numbers, np.empty(0))
        if self.values is not None:
            return dict(zip(contract.values, self.values.T, strict=True))
        return {name: getattr(self, name) for name in contract.numbers}


def named_values(table: Floats, contract: OutputContract) -> Scores:
    """Return the scores of a regressor with several values; `table` is (n, values)."""
    at = None if contract.primary is None else contract.values.index(contract.primary)
    return Scores(value=None if at is None else np.ascontiguousarray(table[:, at]), values=table)


def check_scores(scores: Scores, contract: OutputContract, n: int) -> list[Fault]:
    """Return (row, error class, message) for each row out of contract, in row order, one per row.

    Classes: `output_nan`, `output_range` (infinite, or a probability outside [0, 1]), `output_label`. Raises
    `OutputShapeError` when a column is missing or not of `n` rows.
    """
    _check_shape(scores, contract, n)
    faults: dict[int, Fault] = {}
    probabilities = contract.score == "probability"
    for name, column, bounded in (
        ("value", None if contract.values else scores.value, False),
        ("score", scores.score, probabilities),
        ("class_scores", scores.class_scores, probabilities),
    ):
        if column is not None:
            _note_numbers(faults, name, column, bounded=bounded)
    if scores.values is not None:
        _note_values(faults, scores.values, contract.values)
    if scores.label is not None and scores.winner is None:
        _note_labels(faults, scores.label, frozenset(contract.classes))
    return [faults[row] for row in sorted(faults)]


def _check_shape(scores: Scores, contract: OutputContract, n: int) -> None:
    shapes: dict[str, tuple[int, ...] | None] = {
        "label": None if contract.kind == "regressor" else (n,),
        "score": None if contract.score is None else (n,),
        "value": (n,) if contract.has_value else None,
        "values": (n, len(contract.values)) if contract.values else None,
        "class_scores": (n, len(contract.classes)) if contract.class_scores else None,
    }
    for name, shape in shapes.items():
        column = getattr(scores, name)
        found = None if column is None else column.shape
        if found != shape:
            raise OutputShapeError(f"the model's {name} has shape {found}, not {shape}")


def _note_values(faults: dict[int, Fault], values: Floats, names: tuple[str, ...]) -> None:
    if np.isfinite(values).all():
        return
    for name, column in zip(names, values.T, strict=True):
        _note_numbers(faults, f"value '{name}'", column, bounded=False)


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
