"""Predictions and labels as records, for the join: which of their fields say what. Columns in, values out.

The join itself is `drift.labels`. Predictions are our own records; labels are records of the user's, or of
our type `Label`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from stream_infer.avro.decode import Decoder
from stream_infer.drift.labels import Predicted, Truth
from stream_infer.flow.records import Batch, Rejected

PREDICTION_FIELDS = ("id", "event_time", "model_version", "model_digest", "label", "score", "value")


class JoinBy(StrEnum):
    """What a prediction and its label have in common: the prediction's id, or the record key."""

    PREDICTION_ID = "prediction_id"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class LabelFields:
    """Where a label says what: dotted paths. `id` is unused where keys are joined; a time is in milliseconds.

    `label` is the class as text (numbers and booleans are written out), `value` a number. Without `time` the
    record's own timestamp counts.
    """

    id: str | None = "prediction_id"
    label: str | None = "label"
    value: str | None = "value"
    time: str | None = "labelled_at"
    units_per_ms: int = 1

    @property
    def paths(self) -> Sequence[str]:
        """All of them, for a decoder."""
        return [path for path in (self.id, self.label, self.value, self.time) if path is not None]


class TruthReader:
    """Reads labels out of batches."""

    def __init__(self, decoder: Decoder, fields: LabelFields, join: JoinBy) -> None:
        self._decoder = decoder
        self._fields = fields
        self._join = join

    def read(
        self, batch: Batch, rows: Sequence[int]
    ) -> tuple[Sequence[tuple[int, Truth]], Sequence[Rejected]]:
        """Return (row, label) of those `rows` that are labels, and the others. Without an id it is none."""
        decoded = self._decoder.decode(
            [batch.values[row] for row in rows], [batch.headers[row] for row in rows]
        )
        columns = {path: column.to_pylist() for path, column in decoded.columns.items()}
        found = []
        for at, place in enumerate(decoded.rows):
            row = rows[place]
            name = _key(batch, row) if self._join is JoinBy.KEY else columns[self._fields.id or ""][at]
            if name is not None:
                found.append((row, self._truth(batch, row, str(name), columns, at)))
        return found, _placed(decoded.rejected, rows)

    def _truth(self, batch: Batch, row: int, name: str, columns: dict[str, list[Any]], at: int) -> Truth:
        fields = self._fields
        label = columns[fields.label][at] if fields.label is not None else None
        value = columns[fields.value][at] if fields.value is not None else None
        time = columns[fields.time][at] if fields.time is not None else None
        source = batch.source(row)
        return Truth(
            name,
            batch.timestamp_ms[row] if time is None else time // fields.units_per_ms,
            None if label is None else str(label),
            None if value is None else float(value),
            f"{source.topic}/{source.index}",
            batch.offset[row],
        )


class PredictionReader:
    """Reads our own predictions out of batches. The decoder gives `PREDICTION_FIELDS`."""

    def __init__(self, decoder: Decoder, join: JoinBy) -> None:
        self._decoder = decoder
        self._join = join

    def read(
        self, batch: Batch, rows: Sequence[int]
    ) -> tuple[Sequence[tuple[int, str, Predicted]], Sequence[Rejected]]:
        """Return (row, digest of the model, prediction) of those `rows` that are predictions."""
        decoded = self._decoder.decode(
            [batch.values[row] for row in rows], [batch.headers[row] for row in rows]
        )
        found = list(self._predictions(batch, [rows[place] for place in decoded.rows], decoded.columns))
        return found, _placed(decoded.rejected, rows)

    def _predictions(
        self,
        batch: Batch,
        rows: Sequence[int],
        columns: Any,  # noqa: ANN401 - Arrow has no types
    ) -> Iterator[tuple[int, str, Predicted]]:
        said: list[pa.Array] = [columns[path].to_pylist() for path in PREDICTION_FIELDS]
        for row, name, time, version, digest, label, score, value in zip(rows, *said, strict=True):
            known = _key(batch, row) if self._join is JoinBy.KEY else name
            if known is not None:
                yield row, digest, Predicted(known, version, time, label, score, value)


def _key(batch: Batch, row: int) -> str | None:
    key = batch.keys[row]
    return None if key is None else key.decode("utf-8", "backslashreplace")


def _placed(rejected: Sequence[Rejected], rows: Sequence[int]) -> list[Rejected]:
    return [Rejected(rows[r.row], r.stage, r.error_class, r.message) for r in rejected]
