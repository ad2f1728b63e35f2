"""The answers to the rows of several requests: one pass of the model, one answer a row.

A scoring request is a sequence of Avro data without framing, or columns of features' sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from stream_infer.flow.records import Rejected
from stream_infer.models.frame_builder import Columns
from stream_infer.models.load import Model
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Floats, Scores
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.scoring.infer import infer, move_rows
from stream_infer.steps.scoring.isolate import Expired, untimed
from stream_infer.steps.scoring.plan import ScoringPlan

_PART_ROWS = 4_096  # between two parts a pass can stop

ScoringRequest: TypeAlias = Sequence[bytes | None] | Columns


NoteRows: TypeAlias = Callable[[Model, int, ScoredRows], object]
"""Is told of a pass: its model, the number of its rows, and what became of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The answer of the model to one row; what its contract does not name is None."""

    label: str | None = None
    score: float | None = None
    value: float | None = None
    class_scores: Mapping[str, float] | None = None
    values: Mapping[str, float] | None = None


RowAnswer: TypeAlias = Scored | Rejected


def answer_document(answer: RowAnswer) -> dict[str, Any]:
    """Return `answer` as a dict for JSON: its values, or the `error` that a dead letter would have."""
    if isinstance(answer, Rejected):
        return {"error": {"stage": str(answer.stage), "class": answer.error_class, "message": answer.message}}
    return {
        "label": answer.label,
        "score": answer.score,
        "value": answer.value,
        "class_scores": answer.class_scores,
        "values": answer.values,
    }


def row_count(request: ScoringRequest) -> int:
    """Return the number of rows of `request`."""
    return len(next(iter(request.values()))) if isinstance(request, Mapping) else len(request)


def answer_requests(
    model: Model,
    plan: ScoringPlan,
    requests: Sequence[ScoringRequest],
    expired: Expired = untimed,
    note: NoteRows | None = None,
) -> list[list[RowAnswer]]:
    """Return the answers to the rows of each request, in order; `note` is told of them all.

    Raises `ModelFailed` for a broken model, and `Aborted` when the time is over.
    """
    given = [request for request in requests if isinstance(request, Mapping)]
    data = [request for request in requests if not isinstance(request, Mapping)]
    values = list(chain.from_iterable(data))
    decoded = plan.decoder.decode(values)
    columns = _joined(model, [decoded.columns, *given] if decoded.columns else given)
    total = len(values) + sum(map(row_count, given))
    rows = np.concatenate([np.asarray(decoded.rows, dtype=np.intp), np.arange(len(values), total)])
    inferred = infer(model, columns, expired, _PART_ROWS)
    answers: list[RowAnswer | None] = [None] * total
    for row, scored in zip(
        rows[inferred.rows].tolist(), _scored(inferred.scores, model.manifest.output), strict=True
    ):
        answers[row] = scored
    refused = [*decoded.rejected, *move_rows(inferred.rejected, rows)]
    for rejected in refused:
        answers[rejected.row] = rejected
    if note is not None:
        note(model, total, ScoredRows(columns, rows, inferred.rows, inferred.scores, refused))
    return _split([answer for answer in answers if answer is not None], requests, len(values))


def _joined(model: Model, parts: Sequence[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    sources = dict.fromkeys(feature.source for feature in model.manifest.features)
    return {source: pa.concat_arrays([part[source] for part in parts]) for source in sources}


def _split(
    answers: Sequence[RowAnswer], requests: Sequence[ScoringRequest], columns_from: int
) -> list[list[RowAnswer]]:
    """Return `answers`, those to data before those to columns, by request."""
    found, next_data, next_columns = [], 0, columns_from
    for request in requests:
        count = row_count(request)
        if isinstance(request, Mapping):
            first, next_columns = next_columns, next_columns + count
        else:
            first, next_data = next_data, next_data + count
        part = list(answers[first : first + count])
        found.append([_at(row, answer) for row, answer in enumerate(part)])
    return found


def _at(row: int, answer: RowAnswer) -> RowAnswer:
    """Return `answer` as that to the row of this number in its request."""
    if isinstance(answer, Scored) or answer.row == row:
        return answer
    return Rejected(row, answer.stage, answer.error_class, answer.message)


def _scored(scores: Scores, contract: OutputContract) -> list[Scored]:
    count = len(scores)
    absent = [None] * count
    labels = absent if scores.label is None else map(str, scores.label.tolist())
    numbers = (absent if column is None else column.tolist() for column in (scores.score, scores.value))
    by_class = _by_name(contract.classes, scores.class_scores) or absent
    values = _by_name(contract.values, scores.values) or absent
    return [
        Scored(label=label, score=score, value=value, class_scores=of_classes, values=named)
        for label, score, value, of_classes, named in zip(labels, *numbers, by_class, values, strict=True)
    ]


def _by_name(names: Sequence[str], table: Floats | None) -> Sequence[Mapping[str, float] | None]:
    return [] if table is None else [dict(zip(names, row, strict=True)) for row in table.tolist()]
