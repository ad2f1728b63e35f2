"""From columns of events to scores: feature policies, input frame, predict, output contract.

A worker, a batch file, `open_package` and the golden samples share this path. It knows no bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Rejected, Stage
from stream_infer.models.frame_builder import Columns, build_frame
from stream_infer.models.load import Model
from stream_infer.models.scores import Fault, OutputShapeError, Scores, check_scores
from stream_infer.steps.scoring import policy
from stream_infer.steps.scoring.isolate import Budget, Isolated, isolate


@dataclass(frozen=True, slots=True)
class Inferred:
    """The scores of `rows` (ascending rows of the given columns), and the rejected rows with the reason.

    `answered` counts rows on which the model did not raise, `raised` those on which it did.
    """

    rows: NDArray[np.intp]
    scores: Scores
    rejected: Sequence[Rejected]
    answered: int
    raised: int


@dataclass(frozen=True, slots=True)
class _Answer:
    scores: Scores
    faults: Sequence[Fault]


def infer(model: Model, columns: Columns, budget: Budget) -> Inferred:
    """Score every row of `columns`, which hold each feature's source. Raises `ModelFailed` over budget."""
    if not len(next(iter(columns.values()))):
        return Inferred(np.empty(0, np.intp), Scores(), (), answered=0, raised=0)
    passed = policy.apply_policies(columns, model.manifest)

    def predict(start: int, stop: int) -> _Answer:
        # A frame of its own for each call: a model that writes into its input spoils no later answer.
        part = {path: column.slice(start, stop - start) for path, column in passed.columns.items()}
        scores = model.predict(build_frame(part, model.manifest))
        return _Answer(scores, check_scores(scores, model.manifest.output, stop - start))

    isolated = isolate(predict, len(passed.rows), budget)
    rejected = _rejected(isolated)
    raised = len(isolated.poison)
    keep = np.ones(len(passed.rows), dtype=np.bool_)
    keep[[reject.row for reject in rejected]] = False
    scores = _select([part.answer.scores for part in isolated.parts], _answered(keep, isolated))
    return Inferred(
        rows=passed.rows[keep],
        scores=scores,
        rejected=sorted([*passed.rejected, *move_rows(rejected, passed.rows)], key=lambda reject: reject.row),
        answered=len(passed.rows) - raised,
        raised=raised,
    )


def move_rows(rejected: Sequence[Rejected], rows: NDArray[np.intp]) -> list[Rejected]:
    """Return `rejected` with row `rows[i]` in place of row `i`."""
    return [Rejected(int(rows[r.row]), r.stage, r.error_class, r.message) for r in rejected]


def _class_of(error: type[Exception]) -> DeadLetterClass:
    return DeadLetterClass.OUTPUT_SHAPE if error is OutputShapeError else DeadLetterClass.RAISED


def _rejected(isolated: Isolated[_Answer]) -> list[Rejected]:
    raised = [
        Rejected(
            bad.row,
            Stage.PREDICT,
            _class_of(bad.error),
            f"the model raised {bad.cause}",
        )
        for bad in isolated.poison
    ]
    broken = [
        Rejected(part.start + row, Stage.PREDICT, error_class, message)
        for part in isolated.parts
        for row, error_class, message in part.answer.faults
    ]
    return raised + broken


def _answered(keep: NDArray[np.bool_], isolated: Isolated[_Answer]) -> NDArray[np.bool_]:
    """Return `keep` without the poison rows, which are in no part."""
    return np.delete(keep, [bad.row for bad in isolated.poison]) if isolated.poison else keep


def _select(parts: Sequence[Scores], keep: NDArray[np.bool_]) -> Scores:
    """Return the rows of `parts`, one after the other, where `keep` is true."""
    if len(parts) == 1 and keep.all():
        return parts[0]
    joined = {}
    for field in fields(Scores):
        columns = [getattr(part, field.name) for part in parts]
        if columns and all(column is not None for column in columns):
            joined[field.name] = np.concatenate(columns)[keep]
    return Scores(**joined)
