"""Answers to the rows of any Arrow table, one a row and in its order, with the reason where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_infer.avro.schemas import Schema
from stream_infer.flow.errors import Misconfigured
from stream_infer.flow.records import Rejected
from stream_infer.models.load import Model
from stream_infer.steps.rows import Rows
from stream_infer.steps.scoring.infer import infer, move_rows
from stream_infer.steps.scoring.prediction import output_columns
from stream_infer.steps.scoring.table_fields import TableFields

_NUMBERS = pa.map_(pa.string(), pa.float64())
_ERROR = pa.struct([("stage", pa.string()), ("class", pa.string()), ("message", pa.string())])
ANSWER_SHAPE = pa.schema(
    [
        ("label", pa.string()),
        ("score", pa.float64()),
        ("value", pa.float64()),
        ("class_scores", _NUMBERS),
        ("values", _NUMBERS),
        ("error", _ERROR),
        ("model_version", pa.string()),
        ("model_digest", pa.string()),
    ]
)
"""The columns of an answer. `error` is what a dead letter of the row would say; null for an answered row."""


class ArrowAnswers:
    """Answers tables with a model on events of `schema`. Keeps only how the last type of table is read."""

    def __init__(self, model: Model, schema: Schema) -> None:
        self._model = model
        self._schema = schema
        self._read: tuple[pa.Schema, TableFields] | None = None

    def __call__(self, table: pa.RecordBatch) -> pa.RecordBatch:
        """Return `ANSWER_SHAPE` for each row of `table`.

        Raises `Misconfigured` where the table lacks a field, `ModelFailed` for a broken model.
        """
        read = self._fields(table.schema).read(table)
        inferred = infer(self._model, read.columns)
        rejected = [*read.rejected, *move_rows(inferred.rejected, read.rows)]
        manifest, count = self._model.manifest, table.num_rows
        answered = output_columns(inferred.scores, manifest.output)
        columns: dict[str, pa.Array] = {
            **_spread(answered, read.rows[inferred.rows], count),
            "error": _errors(rejected, count),
            "model_version": pa.repeat(manifest.version, count),
            "model_digest": pa.repeat(self._model.digest, count),
        }
        arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in ANSWER_SHAPE]
        return pa.RecordBatch.from_arrays(arrays, schema=ANSWER_SHAPE)

    def _fields(self, table: pa.Schema) -> TableFields:
        if self._read is None or not self._read[0].equals(table):
            paths = dict.fromkeys(feature.source for feature in self._model.manifest.features)
            fields = TableFields(self._schema, list(paths), table)
            if fields.problems:
                raise Misconfigured(fields.problems)
            self._read = table, fields
        return self._read[1]


def _spread(columns: Mapping[str, pa.Array], rows: Rows, count: int) -> Mapping[str, pa.Array]:
    """Return `columns`, which are of `rows`, for all rows; the others are null."""
    if len(rows) == count:
        return columns
    places: NDArray[np.int64] = np.zeros(count, np.int64)
    places[rows] = np.arange(len(rows))
    absent = np.ones(count, np.bool_)
    absent[rows] = False
    taken = pa.array(places, mask=absent)
    return {name: column.take(taken) for name, column in columns.items()}


def _errors(rejected: Sequence[Rejected], count: int) -> pa.Array:
    if not rejected:
        return pa.nulls(count, _ERROR)
    errors: list[dict[str, str] | None] = [None] * count
    for one in rejected:
        errors[one.row] = {"stage": str(one.stage), "class": str(one.error_class), "message": one.message}
    return pa.array(errors, _ERROR)
