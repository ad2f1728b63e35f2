"""Observation frames as JSON values, for the state of the monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_infer.drift.frames import ColumnSummary, ObservationFrame
from stream_infer.flow.records import Partition


def frame_to_document(frame: ObservationFrame) -> dict[str, object]:
    """Return `frame` as JSON values."""
    return {
        "version": frame.version,
        "digest": frame.digest,
        "source": [frame.source.topic, frame.source.index],
        "offsets": [
            frame.first_offset, frame.last_offset, frame.window_first_offset, frame.window_last_offset
        ],
        "times_ms": [frame.first_time_ms, frame.last_time_ms],
        "counts": [frame.records, frame.dead_letters, frame.sampled],
        "signals": [
            [s.name, s.kind, s.count, s.nulls, s.non_finite, s.mean, s.m2, s.low, s.high, list(s.bins)]
            for s in frame.signals
        ],
    }  # fmt: skip


def frame_from_document(document: Mapping[str, Any]) -> ObservationFrame:
    """Return the frame that `frame_to_document` wrote."""
    first, last, window_first, window_last = document["offsets"]
    first_time, last_time = document["times_ms"]
    records, dead_letters, sampled = document["counts"]
    return ObservationFrame(
        version=str(document["version"]),
        digest=str(document["digest"]),
        source=Partition(*document["source"]),
        first_offset=first,
        last_offset=last,
        window_first_offset=window_first,
        window_last_offset=window_last,
        first_time_ms=first_time,
        last_time_ms=last_time,
        records=records,
        dead_letters=dead_letters,
        sampled=sampled,
        signals=tuple(_summary(summary) for summary in document["signals"]),
    )


def _summary(document: Sequence[Any]) -> ColumnSummary:
    name, kind, count, nulls, non_finite, mean, m2, low, high, bins = document
    return ColumnSummary(name, kind, count, nulls, non_finite, mean, m2, low, high, tuple(bins))
