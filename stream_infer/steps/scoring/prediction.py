"""Predictions as columns of the record type `Prediction`: one vectorised pass per column, none per record.

Only the fields of a prediction are made here: `avro.encode` writes its bytes, `prediction_output` adds key
and partition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stream_infer.flow.records import Batch
from stream_infer.models.frame_builder import Columns
from stream_infer.models.load import Model
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Floats, Scores
from stream_infer.steps.rows import Rows, numbers_of
from stream_infer.steps.scoring.plan import EventTime, ScoringPlan


def prediction_columns(
    batch: Batch,
    rows: Rows,
    columns: Columns,
    scores: Scores,
    *,
    model: Model,
    plan: ScoringPlan,
    pipeline: str,
) -> Mapping[str, pa.Array]:
    """Return the columns of the predictions for `rows` of `batch`.

    `columns` are fields of the event and `scores` answers, of these rows and in their order.
    """
    count = len(rows)
    partition = numbers_of(np.asarray(batch.partition, dtype=np.int32), rows)
    offset = pa.array(numbers_of(np.asarray(batch.offset, dtype=np.int64), rows))
    manifest = model.manifest
    return {
        **_source(batch, partition, offset),
        "event_time": _event_times(batch, rows, columns, plan.event_time),
        "scored_at": pa.repeat(pa.scalar(batch.received_ms, pa.int64()), count),
        "pipeline": pa.repeat(pipeline, count),
        "model_name": pa.repeat(manifest.name, count),
        "model_version": pa.repeat(manifest.version, count),
        "model_digest": pa.repeat(model.digest, count),
        **output_columns(scores, manifest.output),
        "copied": _copied(columns, plan.copy, count),
    }


def _source(batch: Batch, partition: NDArray[np.int32], offset: pa.Array) -> Mapping[str, pa.Array]:
    places = pa.array(partition)
    prefixes = pa.array([f"{source.topic}/{source.index}/" for source in batch.partitions], pa.string())
    topics = pa.array([source.topic for source in batch.partitions], pa.string())
    indexes = pa.array([source.index for source in batch.partitions], pa.int32())
    return {
        "id": pc.binary_join_element_wise(prefixes.take(places), offset.cast(pa.string()), ""),
        "source_topic": topics.take(places),
        "source_partition": indexes.take(places),
        "source_offset": offset,
    }


def _event_times(batch: Batch, rows: Rows, columns: Columns, field: EventTime | None) -> pa.Array:
    stamps = numbers_of(np.asarray(batch.timestamp_ms, dtype=np.int64), rows)
    stamps = np.where(stamps < 0, batch.received_ms, stamps)  # a record without a timestamp has -1
    if field is None:
        return pa.array(stamps)
    column = columns[field.path]
    times = column.fill_null(0).to_numpy() // field.units_per_ms
    return pa.array(np.where(column.is_null().to_numpy(zero_copy_only=False), stamps, times))


def output_columns(scores: Scores, contract: OutputContract) -> dict[str, pa.Array]:
    """Return the columns that the model answers; the others keep their default."""
    columns = {}
    classes = pa.array(contract.classes, pa.string())
    if scores.winner is not None:
        columns["label"] = classes.take(pa.array(scores.winner))
    elif scores.label is not None:
        columns["label"] = pa.array(scores.label, pa.string())
    if scores.score is not None:
        columns["score"] = pa.array(scores.score)
    if scores.value is not None:
        columns["value"] = pa.array(scores.value)
    if contract.class_scores and scores.class_scores is not None:
        columns["class_scores"] = _maps(classes, scores.class_scores)
    if scores.values is not None:
        columns["values"] = _maps(pa.array(contract.values, pa.string()), scores.values)
    return columns


def _maps(names: pa.Array, table: Floats) -> pa.MapArray:
    """Return a map from name to number for each row of `table` (rows, names)."""
    count, width = table.shape
    keys = names.take(pa.array(np.tile(np.arange(width), count)))
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * width)
    return pa.MapArray.from_arrays(offsets, keys, pa.array(np.ascontiguousarray(table).ravel()))


def _copied(columns: Columns, paths: Sequence[str], count: int) -> pa.Array:
    """Return a map from path to text per row, without the fields that are null in it."""
    if not paths:
        nothing = pa.array([], pa.string())
        return pa.MapArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count + 1), nothing, nothing)
    # Columns one after the other, taken row by row: field `j` of row `i` is at j * count + i.
    texts = pa.concat_arrays([_text(columns[path]) for path in paths])
    by_row = np.arange(len(paths) * count).reshape(len(paths), count).T.ravel()
    items = texts.take(pa.array(by_row)) if len(paths) > 1 else texts
    names = pa.array(paths, pa.string()).take(pa.array(np.tile(np.arange(len(paths)), count)))
    lengths = np.full(count, len(paths))
    if items.null_count:
        there = items.is_valid()
        names, items = names.filter(there), items.filter(there)
        lengths = there.to_numpy(zero_copy_only=False).reshape(count, len(paths)).sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.MapArray.from_arrays(pa.array(offsets), names, items)


def _text(column: pa.Array) -> pa.Array:
    """Return the values as text: `true` and `false`, whole numbers, floats as Python writes them."""
    if pa.types.is_floating(column.type):
        return pa.array([None if v is None else repr(v) for v in column.to_pylist()], pa.string())
    return column.cast(pa.string())
