"""Predictions of a batch as an output: values, keys, partitions and headers, within the topic's size limit.

The fields of a prediction are made in `prediction`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, compress
from operator import itemgetter

import numpy as np
import pyarrow as pa

from stream_infer.avro.encode import Encoder
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Channel, Headers, Output, Rejected, Stage
from stream_infer.models.frame_builder import Columns
from stream_infer.models.load import Model
from stream_infer.steps.options import Partitioning
from stream_infer.steps.rows import Rows, cells_of, numbers_of
from stream_infer.steps.scoring.infer import Inferred
from stream_infer.steps.scoring.plan import ScoringPlan
from stream_infer.steps.scoring.prediction import prediction_columns
from stream_infer.steps.scoring.size import longest_headers_bytes, record_bytes

TRACE_HEADERS = frozenset({"traceparent", "tracestate", "baggage"})
"""The headers that a prediction takes over from its event (W3C trace context and baggage)."""


@dataclass(frozen=True, slots=True)
class WrittenPredictions:
    """The predictions of a batch as an output, and the rows whose prediction is too large for the topic."""

    output: Output
    rejected: Sequence[Rejected]


class PredictionWriter:
    """Writes predictions of one pipeline."""

    def __init__(self, pipeline: str, encoder: Encoder, *, partitioning: Partitioning) -> None:
        self._pipeline = pipeline
        self._encoder = encoder
        self._partitioning = partitioning

    def write(
        self, batch: Batch, rows: Rows, columns: Columns, inferred: Inferred, model: Model, plan: ScoringPlan
    ) -> Output:
        """Return the predictions for `rows` of `batch`; `columns` are the fields of its readable rows."""
        if not len(rows):
            return Output(Channel.PREDICTIONS, [], [], [], [])
        values = self._encoder.encode(
            prediction_columns(
                batch,
                rows,
                _event_fields(columns, inferred.rows, plan),
                inferred.scores,
                model=model,
                plan=plan,
                pipeline=self._pipeline,
            )
        )
        return Output(
            channel=Channel.PREDICTIONS,
            rows=range(len(batch)) if len(rows) == len(batch) else rows.tolist(),
            keys=cells_of(batch.keys, rows),
            values=values,
            headers=_trace_headers(cells_of(batch.headers, rows)),
            partitions=self._partitions(batch, rows),
        )

    def _partitions(self, batch: Batch, rows: Rows) -> Sequence[int] | None:
        if self._partitioning is Partitioning.KEY:
            return None
        indexes = np.asarray([source.index for source in batch.partitions])
        partitions: list[int] = indexes[numbers_of(np.asarray(batch.partition), rows)].tolist()
        return partitions


def _event_fields(columns: Columns, rows: Rows, plan: ScoringPlan) -> Columns:
    """Return the fields that a prediction takes from the event, as they came: nothing imputed."""
    paths = {*plan.copy, *([plan.event_time.path] if plan.event_time else [])}
    fields = {path: columns[path] for path in paths}
    if all(len(column) == len(rows) for column in fields.values()):
        return fields
    taken = pa.array(rows)
    return {path: column.take(taken) for path, column in fields.items()}


def _trace_headers(headers: Sequence[Headers | None]) -> Sequence[Headers | None]:
    if not any(headers):  # most batches
        return [None] * len(headers)
    if TRACE_HEADERS.issuperset(map(itemgetter(0), chain.from_iterable(filter(None, headers)))):
        return headers  # most of the others
    return [
        tuple(header for header in of_row or () if header[0] in TRACE_HEADERS) or None for of_row in headers
    ]


def _longest(output: Output) -> int:
    """Return the size of a record made of the longest key, value and headers."""
    longest = (max(map(len, filter(None, cells)), default=0) for cells in (output.keys, output.values))
    return record_bytes(None, None, ()) + sum(longest) + longest_headers_bytes(output.headers)


def within(output: Output, limit_bytes: int) -> WrittenPredictions:
    """Take predictions over the limit out of `output`: a broker would refuse the whole batch for one."""
    if _longest(output) <= limit_bytes:  # most batches
        return WrittenPredictions(output, [])
    fits = [
        record_bytes(key, value, headers or ()) <= limit_bytes
        for key, value, headers in zip(output.keys, output.values, output.headers, strict=True)
    ]
    if all(fits):
        return WrittenPredictions(output, [])
    kept = Output(
        channel=output.channel,
        rows=list(compress(output.rows, fits)),
        keys=list(compress(output.keys, fits)),
        values=list(compress(output.values, fits)),
        headers=list(compress(output.headers, fits)),
        partitions=None if output.partitions is None else list(compress(output.partitions, fits)),
    )
    message = f"the prediction is larger than the {limit_bytes} bytes that its topic takes"
    rejected = [
        Rejected(row, Stage.ENCODE, DeadLetterClass.TOO_LARGE, message)
        for row, fit in zip(output.rows, fits, strict=True)
        if not fit
    ]
    return WrittenPredictions(kept, rejected)
