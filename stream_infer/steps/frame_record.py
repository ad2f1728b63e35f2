"""Observation frames as records of the type `ObservationFrame`, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from stream_infer.drift.frames import Frame, Summary
from stream_infer.flow.records import Partition

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def frame_columns(pipeline: str, frames: Sequence[Frame]) -> Mapping[str, pa.Array]:
    """Return `frames` as columns of their record, for `avro.encode`."""
    signals = [one for frame in frames for one in frame.signals]
    first_of = np.cumsum([0, *(len(frame.signals) for frame in frames)], dtype=np.int32)
    return {
        "pipeline": pa.repeat(pipeline, len(frames)),
        "model_version": pa.array([frame.version for frame in frames], pa.string()),
        "model_digest": pa.array([frame.digest for frame in frames], pa.string()),
        "source_topic": pa.array([frame.source.topic for frame in frames], pa.string()),
        "source_partition": pa.array([frame.source.index for frame in frames], pa.int32()),
        **{
            name: pa.array([getattr(frame, of_frame) for frame in frames], pa.int64())
            for name, of_frame in _WHOLE.items()
        },
        "signals": pa.ListArray.from_arrays(first_of, _signals(signals)),
    }


_WHOLE = {
    "first_offset": "first_offset",
    "last_offset": "last_offset",
    "window_first_offset": "window_first_offset",
    "window_last_offset": "window_last_offset",
    "first_event_time": "first_time_ms",
    "last_event_time": "last_time_ms",
    "records": "records",
    "dead_letters": "dead_letters",
    "sampled": "sampled",
}


def _signals(signals: Sequence[Summary]) -> pa.StructArray:
    first_of = np.cumsum([0, *(len(one.bins) for one in signals)], dtype=np.int32)
    bins = np.fromiter(chain.from_iterable(one.bins for one in signals), np.int64, int(first_of[-1]))
    columns = {
        "name": pa.array([one.name for one in signals], pa.string()),
        "kind": pa.array([one.kind for one in signals], pa.string()),
        "count": pa.array([one.count for one in signals], pa.int64()),
        "nulls": pa.array([one.nulls for one in signals], pa.int64()),
        "non_finite": pa.array([one.non_finite for one in signals], pa.int64()),
        "mean": pa.array([one.mean for one in signals], pa.float64()),
        "m2": pa.array([one.m2 for one in signals], pa.float64()),
        "min": pa.array([one.low for one in signals], pa.float64()),
        "max": pa.array([one.high for one in signals], pa.float64()),
        "bins": pa.ListArray.from_arrays(first_of, bins),
    }
    return pa.StructArray.from_arrays(list(columns.values()), list(columns))


def from_record(record: Mapping[str, Any]) -> Frame:
    """Return the frame in `record`, as `avro.record` reads it: times as datetimes."""
    return Frame(
        version=record["model_version"],
        digest=record["model_digest"],
        source=Partition(record["source_topic"], record["source_partition"]),
        first_offset=record["first_offset"],
        last_offset=record["last_offset"],
        window_first_offset=record["window_first_offset"],
        window_last_offset=record["window_last_offset"],
        first_time_ms=milliseconds(record["first_event_time"]),
        last_time_ms=milliseconds(record["last_event_time"]),
        records=record["records"],
        dead_letters=record["dead_letters"],
        sampled=record["sampled"],
        signals=tuple(map(_summary, record["signals"])),
    )


def milliseconds(moment: datetime | int) -> int:
    """Return Unix milliseconds of `moment`, exactly; what datetime cannot hold came as it is."""
    if isinstance(moment, int):
        return moment
    past = moment - _EPOCH
    return past.days * 86_400_000 + past.seconds * 1000 + past.microseconds // 1000


def _summary(one: Mapping[str, Any]) -> Summary:
    return Summary(
        one["name"],
        one["kind"],
        one["count"],
        one["nulls"],
        one["non_finite"],
        one["mean"],
        one["m2"],
        one["min"],
        one["max"],
        tuple(one["bins"]),
    )
