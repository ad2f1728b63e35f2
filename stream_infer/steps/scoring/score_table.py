"""The step of a batch run: rows of a table to predictions in columns and dead letters, one answer a row.

The path is that of `score` from the columns on: policies, model, isolation. Reads no clock and does no I/O.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from stream_infer.drift.frame_documents import frame_to_document
from stream_infer.flow.errors import Fatal
from stream_infer.flow.records import Batch, Channel, Outcome, Output
from stream_infer.models.frame_builder import Columns
from stream_infer.models.load import Model
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.rows import Rows
from stream_infer.steps.scoring.deadletter import DeadLetterContext, dead_letters
from stream_infer.steps.scoring.infer import Inferred, infer, move_rows
from stream_infer.steps.scoring.plan import ScoringPlan
from stream_infer.steps.scoring.prediction import prediction_columns
from stream_infer.steps.scoring.table_fields import TableFields
from stream_infer.steps.scoring.truth import truth_of, truth_to_document
from stream_infer.steps.table import TableRows

_NO_LIMIT_BYTES = 2**62


@dataclass(frozen=True, slots=True)
class TableScoring:
    """A model, the fields that it reads from tables, and what a prediction takes over.

    `joined` is column of the table -> its name beside the columns of a prediction; `label` is the column with
    the true label, where there is one. `observe` makes the summaries of a batch.
    """

    model: Model
    plan: ScoringPlan
    fields: TableFields
    joined: Sequence[tuple[str, str]] = ()
    label: str | None = None
    observe: Observe | None = None


class ScoreTable:
    """A `Step` on batches whose values are `TableRows`; its predictions are `TableRows` too.

    It has no state. `shape` are the columns of its predictions.
    """

    def __init__(self, scoring: TableScoring, pipeline: str, shape: pa.Schema) -> None:
        self._scoring = scoring
        self._pipeline = pipeline
        self._shape = shape

    def __call__(self, batch: Batch) -> Outcome:
        scoring, rows = self._scoring, batch.values
        if not isinstance(rows, TableRows):
            raise Fatal("a batch of records came to the step for tables; report it")
        read = scoring.fields.read(rows.table)
        inferred = infer(scoring.model, read.columns)
        answered = read.rows[inferred.rows]
        rejected = [*read.rejected, *move_rows(inferred.rejected, read.rows)]
        rejected.sort(key=lambda reject: reject.row)
        version = scoring.model.manifest.version
        outputs = [
            self._predictions(batch, rows.table, answered, read.columns, inferred),
            dead_letters(batch, rejected, DeadLetterContext("", _NO_LIMIT_BYTES), model_version=version),
            self._summary(
                batch,
                rows.table,
                ScoredRows(read.columns, read.rows, inferred.rows, inferred.scores, rejected),
            ),
        ]
        return Outcome(
            cursor=batch.cursor,
            outputs=[output for output in outputs if len(output)],
            predicted=len(answered),
            rejected=rejected,
            skipped=0,
            model_version=version,
        )

    def forget(self) -> None:
        """Do nothing: the same batch gives the same outcome."""

    def _summary(self, batch: Batch, table: pa.RecordBatch, scored: ScoredRows) -> Output:
        """Return what the batch adds to the report of the run, as one JSON document."""
        scoring = self._scoring
        document: dict[str, object] = {}
        if scoring.observe is not None:
            frames = scoring.observe.frames(batch, scoring.model, scored)
            document["frames"] = [frame_to_document(frame) for frame in frames]
        if scoring.label is not None:
            labels = table.column(scoring.label).take(pa.array(scored.readable[scored.scored]))
            truth = truth_of(labels, scored.scores, scoring.model.manifest.output)
            document["truth"] = truth_to_document(truth)
        value = json.dumps(document, separators=(",", ":")).encode()
        return Output(Channel.OBSERVATIONS, [], [None], [value], [None])

    def _predictions(
        self,
        batch: Batch,
        table: pa.RecordBatch,
        rows: Rows,
        columns: Columns,
        inferred: Inferred,
    ) -> Output:
        scoring, count = self._scoring, len(rows)
        fields = {path: columns[path] for path in _event_time(scoring.plan)}
        if count != len(next(iter(columns.values()))):
            taken = pa.array(inferred.rows)
            fields = {path: column.take(taken) for path, column in fields.items()}
        answers = prediction_columns(
            batch,
            rows,
            fields,
            inferred.scores,
            model=scoring.model,
            plan=scoring.plan,
            pipeline=self._pipeline,
        )
        kept = table if count == table.num_rows else table.take(pa.array(rows))
        beside = {name: kept.column(column) for column, name in scoring.joined}
        values = TableRows(shaped({**answers, **beside}, self._shape, count))
        nothing: list[None] = [None] * count
        return Output(Channel.PREDICTIONS, rows.tolist(), nothing, values, nothing)


def shaped(columns: dict[str, pa.Array], shape: pa.Schema, count: int) -> pa.RecordBatch:
    """Return `columns` as a table of `shape`; a column that is not there is null."""
    arrays = []
    for field in shape:
        column = columns.get(field.name)
        if column is None:
            column = pa.nulls(count, field.type)
        arrays.append(column if column.type == field.type else column.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=shape)


def _event_time(plan: ScoringPlan) -> tuple[str, ...]:
    return () if plan.event_time is None else (plan.event_time.path,)
