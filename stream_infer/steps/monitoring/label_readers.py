"""Readers of predictions and labels for the join: columns of records in, values out.

The join itself is in `drift.join`. Predictions are our own records; labels are the user's records, or of our
type `Label`. A record that is no label is a `Rejected`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from stream_infer.avro.decode import Decoded, Decoder
from stream_infer.drift.labels import Predicted, Truth
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Rejected, Stage
from stream_infer.steps.observing.layout import TOO_LARGE
from stream_infer.steps.options import JoinBy

MOST_CHARACTERS = 1024
"""Of an id, a label or a version: they are kept in memory and in the state for as long as labels may come."""
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
        too_long = _too_long(row, str(name), str(label))
        if too_long is not None:
            return too_long
        time_ms = batch.time_ms(row)
        known = columns[fields.time][at] if fields.time is not None else None
        known_ms = time_ms if known is None else known // fields.units_per_ms
        return Truth(str(name), time_ms, known_ms, None if label is None else str(label), value)


class PredictionReader:
    """Reads our own predictions out of batches. The decoders give `PREDICTION_FIELDS`.

    `earlier` read what `decoder` cannot: predictions of earlier releases, whose framing does not name their
    schema.
    """

    def __init__(self, decoder: Decoder, join: JoinBy, earlier: Sequence[Decoder] = ()) -> None:
        self._decoders = [decoder, *earlier]
        self._join = join

    def read(
        self, batch: Batch, rows: Sequence[int]
    ) -> tuple[Sequence[tuple[int, Predicted]], Sequence[Rejected]]:
        """Return (row, prediction) of those `rows` that are predictions and can be joined."""
        if not rows:
            return (), []
        found: list[tuple[int, Predicted]] = []
        reasons: dict[int, Rejected] = {}
        left = rows
        for decoder in self._decoders:
            decoded = _decoded(decoder, batch, left)
            found += self._predictions(batch, [left[place] for place in decoded.rows], decoded.columns)
            reasons = {one.row: reasons.get(one.row, one) for one in _of_batch(decoded.rejected, left)}
            left = sorted(reasons)
            if not left:
                break
        predictions, rejected = [], list(reasons.values())
        for row, one in sorted(found, key=itemgetter(0)):
            too_long = _too_long(row, one.id, one.version, one.digest, one.label)
            if too_long is None:
                predictions.append((row, one))
            else:
                rejected.append(too_long)
        return predictions, rejected

    def _predictions(
        self, batch: Batch, rows: Sequence[int], columns: Mapping[str, Any]
    ) -> Iterator[tuple[int, Predicted]]:
        fields = [columns[path].to_pylist() for path in PREDICTION_FIELDS]
        for row, name, version, digest, event_ms, label, score, value in zip(rows, *fields, strict=True):
            join_id = _key(batch, row) if self._join is JoinBy.KEY else name
            if join_id is not None:
                time_ms = batch.time_ms(row)
                numbers = _finite(score), _finite(value)
                yield row, Predicted(join_id, version, digest, time_ms, event_ms, label, *numbers)


def _decoded(decoder: Decoder, batch: Batch, rows: Sequence[int]) -> Decoded:
    return decoder.decode([batch.values[row] for row in rows], [batch.headers[row] for row in rows])


def _key(batch: Batch, row: int) -> str | None:
    key = batch.keys[row]
    return None if key is None else key.decode("utf-8", "backslashreplace")


def _finite(value: object) -> float | None:
    """Return a number as a float; None for what counts as not finite, as in frames, or is no number."""
    return float(value) if isinstance(value, int | float) and abs(value) < TOO_LARGE else None


def _too_long(row: int, *texts: str | None) -> Rejected | None:
    """Return the refusal of a record one of whose `texts` is too long to be kept."""
    if all(text is None or len(text) <= MOST_CHARACTERS for text in texts):
        return None
    message = f"Its id, or another text of it, has more than {MOST_CHARACTERS} characters."
    return Rejected(row, Stage.VALIDATE, DeadLetterClass.TOO_LONG, message)


def _of_batch(rejected: Sequence[Rejected], rows: Sequence[int]) -> list[Rejected]:
    """Return `rejected` with the rows of the batch; row `i` was `rows[i]` of it."""
    return [Rejected(rows[r.row], r.stage, r.error_class, r.message) for r in rejected]
