"""Readers of predictions and labels for the join: columns of records in, values out.

The join itself is in `drift.join`. Predictions are our own records; labels are the user's records, or of our
type `Label`. A record that is no label is a `Rejected`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_infer.avro.decode import Decoded, Decoder
from stream_infer.drift.labels import Predicted, Truth
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Rejected, Stage
from stream_infer.steps.options import JoinBy

PREDICTION_FIELDS = ("id", "model_version", "model_digest", "event_time", "label", "score", "value")


@dataclass(frozen=True, slots=True)
class LabelFields:
    """The fields of a label as dotted paths. Without `id` the record's key names the prediction.

    `label` is the class, as text or as a number, and the value too unless that has a field of its own.
    `time` is when the outcome was known, `units_per_ms` units to a millisecond; without it the record's own
    timestamp counts.
    """

    id: str | None
    label: str
    value: str | None = None
    time: str | None = None
    units_per_ms: int = 1

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths, for a decoder."""
        return tuple(path for path in (self.id, self.label, self.value, self.time) if path is not None)


class LabelReader:
    """Reads labels out of batches. The decoder gives the paths of `fields`."""

    def __init__(self, decoder: Decoder, fields: LabelFields) -> None:
        self._decoder = decoder
        self._fields = fields

    def read(
        self, batch: Batch, rows: Sequence[int]
    ) -> tuple[Sequence[tuple[int, Truth]], Sequence[Rejected]]:
        """Return (row, label) of those `rows` that are labels, and the reasons for the others."""
        if not rows:
            return (), []
        decoded = _decoded(self._decoder, batch, rows)
        columns = {path: column.to_pylist() for path, column in decoded.columns.items()}
        truths: list[tuple[int, Truth]] = []
        rejected = _of_batch(decoded.rejected, rows)
        for at, place in enumerate(decoded.rows):
            truth = self._truth(batch, rows[place], columns, at)
            if isinstance(truth, Truth):
                truths.append((rows[place], truth))
            else:
                rejected.append(truth)
        return truths, rejected

    def _truth(self, batch: Batch, row: int, columns: Mapping[str, list[Any]], at: int) -> Truth | Rejected:
        fields = self._fields
        name = _key(batch, row) if fields.id is None else columns[fields.id][at]
        if name is None:
            return Rejected(
                row,
                Stage.VALIDATE,
                DeadLetterClass.NO_ID,
                "The label does not name its prediction.",
            )
        label = columns[fields.label][at]
        value = _finite(label if fields.value is None else columns[fields.value][at])
        if isinstance(label, float) and value is None:
            label = None
        if label is None and value is None:
            return Rejected(
                row, Stage.VALIDATE, DeadLetterClass.NO_LABEL, "The label holds no class and no number."
            )
        time_ms = _time_ms(batch, row)
        known = columns[fields.time][at] if fields.time is not None else None
        known_ms = time_ms if known is None else known // fields.units_per_ms
        return Truth(str(name), time_ms, known_ms, None if label is None else str(label), value)


class PredictionReader:
    """Reads our own predictions out of batches. The decoder gives `PREDICTION_FIELDS`."""

    def __init__(self, decoder: Decoder, join: JoinBy) -> None:
        self._decoder = decoder
        self._join = join

    def read(
        self, batch: Batch, rows: Sequence[int]
    ) -> tuple[Sequence[tuple[int, Predicted]], Sequence[Rejected]]:
        """Return (row, prediction) of those `rows` that are predictions and can be joined."""
        if not rows:
            return (), []
        decoded = _decoded(self._decoder, batch, rows)
        predictions = self._predictions(batch, [rows[place] for place in decoded.rows], decoded.columns)
        return list(predictions), _of_batch(decoded.rejected, rows)

    def _predictions(
        self,
        batch: Batch,
        rows: Sequence[int],
        columns: Mapping[str, Any],
    ) -> Iterator[tuple[int, Predicted]]:
        fields = [columns[path].to_pylist() for path in PREDICTION_FIELDS]
        for row, name, version, digest, event_ms, label, score, value in zip(rows, *fields, strict=True):
            join_id = _key(batch, row) if self._join is JoinBy.KEY else name
            if join_id is not None:
                time_ms = _time_ms(batch, row)
                numbers = _finite(score), _finite(value)
                yield row, Predicted(join_id, version, digest, time_ms, event_ms, label, *numbers)


def _decoded(decoder: Decoder, batch: Batch, rows: Sequence[int]) -> Decoded:
    return decoder.decode([batch.values[row] for row in rows], [batch.headers[row] for row in rows])


def _time_ms(batch: Batch, row: int) -> int:
    """Return the record's time; one from the future, or none, counts as now: else all would be forgotten."""
    time_ms = batch.timestamp_ms[row]
    return min(time_ms, batch.received_ms) if time_ms >= 0 else batch.received_ms


def _key(batch: Batch, row: int) -> str | None:
    key = batch.keys[row]
    return None if key is None else key.decode("utf-8", "backslashreplace")


def _finite(value: object) -> float | None:
    """Return a finite number as a float, or None."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _of_batch(rejected: Sequence[Rejected], rows: Sequence[int]) -> list[Rejected]:
    """Return `rejected` with the rows of the batch; row `i` was `rows[i]` of it."""
    return [Rejected(rows[r.row], r.stage, r.error_class, r.message) for r in rejected]
