"""Observation frames as records of the type `ObservationFrame`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stream_infer.drift.frames import Frame, Summary
from stream_infer.flow.records import Partition

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_record(pipeline: str, frame: Frame) -> dict[str, object]:
    """Return `frame` as the fields of its record."""
    return {
        "pipeline": pipeline,
        "model_version": frame.version,
        "model_digest": frame.digest,
        "source_topic": frame.source.topic,
        "source_partition": frame.source.index,
        "first_offset": frame.first_offset,
        "last_offset": frame.last_offset,
        "window_first_offset": frame.window_first_offset,
        "window_last_offset": frame.window_last_offset,
        "first_event_time": frame.first_time_ms,
        "last_event_time": frame.last_time_ms,
        "records": frame.records,
        "dead_letters": frame.dead_letters,
        "sampled": frame.sampled,
        "signals": [
            {
                "name": one.name,
                "kind": one.kind,
                "count": one.count,
                "nulls": one.nulls,
                "non_finite": one.non_finite,
                "mean": one.mean,
                "m2": one.m2,
                "min": one.low,
                "max": one.high,
                "bins": one.bins,
            }
            for one in frame.signals
        ],
    }


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
