"""Observation frames as records of the type `ObservationFrame`, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_infer.drift.frames import ColumnSummary, FrameTables, ObservationFrame
from stream_infer.flow.records import Partition

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def frame_columns(pipeline: str, frames: Sequence[ObservationFrame]) -> Mapping[str, pa.Array]:
    """Return `frames` as columns of their record, for `avro.encode`."""
    signals = [one for frame in frames for one in frame.signals]
    return {
        "pipeline": pa.repeat(pipeline, len(frames)),
        "model_version": pa.array([frame.version for frame in frames], pa.string()),
        "model_digest": pa.array([frame.digest for frame in frames], pa.string()),
        **_sources([frame.source for frame in frames]),
        **{
            field: pa.array([getattr(frame, of_frame) for frame in frames], pa.int64())
            for field, of_frame in _WHOLE.items()
        },
        "signals": _listed(
            [len(frame.signals) for frame in frames],
            _signals(
                {
                    "name": pa.array([one.name for one in signals], pa.string()),
                    "kind": pa.array([one.kind for one in signals], pa.string()),
                    **{
                        field: np.array([getattr(one, of_summary) for one in signals], dtype)
                        for names, dtype in ((_COUNTS, np.int64), (_MOMENTS, np.float64))
                        for field, of_summary in names.items()
                    },
                },
                [len(one.bins) for one in signals],
                np.array([count for one in signals for count in one.bins], np.int64),
            ),
        ),
    }


def columns_of(pipeline: str, frames: FrameTables) -> Mapping[str, pa.Array]:
    """Return `frames`, which are in columns already, as columns of their record."""
    count, signals = len(frames), frames.signals
    return {
        "pipeline": pa.repeat(pipeline, count),
        "model_version": pa.repeat(frames.version, count),
        "model_digest": pa.repeat(frames.digest, count),
        **_sources(frames.sources),
        **{field: pa.array(frames.heads[of_frame]) for field, of_frame in _WHOLE.items()},
        "signals": _listed(
            [len(signals)] * count,
            _signals(
                {
                    "name": pa.array([*signals.names] * count, pa.string()),
                    "kind": pa.array([*signals.kinds] * count, pa.string()),
                    **dict(zip(_COUNTS, frames.counts.reshape(len(_COUNTS), -1), strict=True)),
                    **dict(zip(_MOMENTS, frames.moments.reshape(len(_MOMENTS), -1), strict=True)),
                },
                [*signals.widths] * count,
                frames.bins.ravel(),
            ),
        ),
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
_COUNTS = {"count": "count", "nulls": "nulls", "non_finite": "non_finite"}
_MOMENTS = {"mean": "mean", "m2": "m2", "min": "low", "max": "high"}


def _sources(sources: Sequence[Partition]) -> Mapping[str, pa.Array]:
    return {
        "source_topic": pa.array([source.topic for source in sources], pa.string()),
        "source_partition": pa.array([source.index for source in sources], pa.int32()),
    }


def _signals(
    columns: Mapping[str, pa.Array | NDArray[np.generic]], widths: Sequence[int], bins: NDArray[np.int64]
) -> pa.StructArray:
    arrays = [*map(pa.array, columns.values()), _listed(widths, bins)]
    return pa.StructArray.from_arrays(arrays, [*columns, "bins"])


def _listed(lengths: Sequence[int], items: pa.Array | NDArray[np.generic]) -> pa.ListArray:
    return pa.ListArray.from_arrays(np.cumsum([0, *lengths], dtype=np.int32), items)


def from_record(record: Mapping[str, Any]) -> ObservationFrame:
    """Return the frame in `record`, as `avro.record` reads it: times as datetimes."""
    return ObservationFrame(
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
    """Return Unix milliseconds of `moment`, exactly; a time beyond datetime's range comes as an integer."""
    if isinstance(moment, int):
        return moment
    past = moment - _EPOCH
    return past.days * 86_400_000 + past.seconds * 1000 + past.microseconds // 1000


def _summary(one: Mapping[str, Any]) -> ColumnSummary:
    return ColumnSummary(
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
