"""From columns of events to scores: feature policies, input frame, predict, output contract.

A worker, a batch file, `open_package` and the golden samples share this path. It knows no bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.errors import ModelFailed
from stream_infer.flow.records import Rejected, Stage
from stream_infer.models.frame_builder import Columns, build_frame
from stream_infer.models.load import Model
from stream_infer.models.scores import Fault, OutputShapeError, Scores, check_scores
from stream_infer.steps.scoring import policy
from stream_infer.steps.scoring.isolate import Expired, Isolated, isolate, untimed


@dataclass(frozen=True, slots=True)
class Inferred:
    """The scores of `rows` (ascending rows of the given columns), and the rejected rows with the reason."""

    rows: NDArray[np.intp]
    scores: Scores
    rejected: Sequence[Rejected]


@dataclass(frozen=True, slots=True)
class _Answer:
    scores: Scores
    faults: Sequence[Fault]


def infer(
    model: Model, columns: Columns, expired: Expired = untimed, part_rows: int | None = None
) -> Inferred:
    """Score every row of `columns`, which hold each feature's source, at most `part_rows` at once.

    Rows that the model does not answer are rejected, whatever their share. Raises `ModelFailed` when it does
    not answer its golden rows either, and `Aborted` when the time is over.
    """
    if not len(next(iter(columns.values()))):
        return Inferred(np.empty(0, np.intp), Scores(), ())
    passed = policy.apply_policies(columns, model.manifest, model.accepted)

    def predict(start: int, stop: int) -> _Answer:
        # A frame of its own for each call: a model that writes into its input spoils no later answer.
        part = {path: column.slice(start, stop - start) for path, column in passed.columns.items()}
        scores = model.predict(build_frame(part, model.manifest))
        return _Answer(scores, check_scores(scores, model.manifest.output, stop - start))

    check = partial(_check_golden, model)
    isolated = isolate(predict, len(passed.rows), check=check, expired=expired, part_rows=part_rows)
    rejected = _rejected(isolated)
    if rejected and not isolated.poison:
        check()
    keep = np.ones(len(passed.rows), dtype=np.bool_)
    keep[[reject.row for reject in rejected]] = False
    scores = _select([part.answer.scores for part in isolated.parts], _answered(keep, isolated))
    return Inferred(
        rows=passed.rows[keep],
        scores=scores,
        rejected=sorted([*passed.rejected, *move_rows(rejected, passed.rows)], key=lambda reject: reject.row),
    )


def _check_golden(model: Model) -> None:
    """Raise `ModelFailed` when `model` does not answer its golden rows, as it did when it was loaded."""
    if not model.golden:
        return
    replayed = infer(replace(model, golden={}), model.golden)
    failed, answered = replayed.rejected, len(replayed.rows)
    if failed:
        share = f"{len(failed)} of {len(failed) + answered}"
        raise ModelFailed(f"the model fails on golden rows too ({share}); the first: {failed[0].message}")


def move_rows(rejected: Sequence[Rejected], rows: NDArray[np.intp]) -> list[Rejected]:
    """Return `rejected` with row `rows[i]` in place of row `i`."""
    return [Rejected(int(rows[r.row]), r.stage, r.error_class, r.message) for r in rejected]


def _class_of(error: type[BaseException]) -> DeadLetterClass:
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
