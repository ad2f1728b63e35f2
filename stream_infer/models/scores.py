"""What a model said about a batch, in columns, and whether that keeps its contract.

Pure numpy. How an estimator is asked is in `answer`.
"""

from __future__ import annotations

from dataclasses import dataclass
import numpy as np
import numpy.typing as npt

from stream_infer.models.manifest import OutputContract

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.object_]
Fault = tuple[int, str, str]


class OutputShapeError(ValueError):
    """The model answered a batch with something of another length or shape: no row of it can be trusted."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The answers to `len(scores)` rows. A column that the contract does not name is None.

    `label` holds `str(class)`; `class_scores` is (n, classes), in the order of the contract.
    """

    label: Labels | None = None
    score: Floats | None = None
    value: Floats | None = None
    class_scores: Floats | None = None

    def __len__(self) -> int:
        column = next((c for c in (self.label, self.score, self.value) if c is not None), None)
        return 0 if column is None else len(column)


def check(scores: Scores, contract: OutputContract, n: int) -> list[Fault]:
    """Return (row, error class, message) for each row out of contract, in row order, one per row.

    Classes: `output_nan`, `output_range` (infinite, or a probability outside [0, 1]), `output_label`. Raises
    `OutputShapeError` when a column is missing or not of `n` rows.
    """
    raise NotImplementedError
