"""Observation frames with one odd field each, and records that are no frames."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import fastavro

from stream_infer.avro import topic_schemas

SCHEMA: Any = topic_schemas.topic_schema("ObservationFrame").parsed
WINDOW = 1_600
"""The number of events in the frames that the odd ones are made of."""
READ_MS = 1_800_000_000_000
MOST, LEAST = 2**63 - 1, -(2**63)
LONG = "x" * 100_000

OFFSETS = [-1, LEAST, MOST]
COUNTS = [-1, LEAST, MOST, 2**53]
MOMENTS = [math.nan, math.inf, -math.inf, 1e308, -1e308]
REFUSED: dict[str, Sequence[Any]] = {
    "pipeline": ["", "another", LONG],
    "model_version": [LONG],
    "model_digest": ["", "a/b", LONG],
    "source_topic": ["", "a/b", "\x00", LONG],
    "source_partition": [-1, -(2**31)],
    "first_offset": OFFSETS,
    "last_offset": OFFSETS,
    "window_first_offset": OFFSETS,
    "window_last_offset": OFFSETS,
    "first_event_time": [-1, LEAST, MOST],
    "last_event_time": [-1, 0, LEAST, MOST, 253_402_300_800_000],
    "records": [*COUNTS, 0],
    "dead_letters": COUNTS,
    "sampled": COUNTS,
    "name": [LONG, "ratio"],
    "kind": ["", "double", LONG],
    "count": [*COUNTS, 0, 1],
    "nulls": [*COUNTS, WINDOW + 1],
    "non_finite": [*COUNTS, WINDOW + 1],
    "mean": MOMENTS,
    "m2": [*MOMENTS, -1.0],
    "min": MOMENTS,
    "max": MOMENTS,
    "bins": [[1], [-1] * 10, [MOST] * 10, [0] * 10],
}
"""Odd values by field of the frame or of its first signal."""
TAKEN: dict[str, Sequence[Any]] = {
    "model_version": [""],
    "model_digest": ["sha256:unknown"],
    "source_partition": [2**31 - 1],
    "first_event_time": [0],
    "last_event_time": [READ_MS],
    "dead_letters": [0, WINDOW],
    "name": ["", "\x00", "\U0001f600"],
    "mean": [1e100, -1e100, 5e-324, -0.0],
    "m2": [0.0, 5e-324, 1e-320, 1e200],
    "min": [-1e100],
    "max": [1e100],
    "bins": [[]],
    "signals": [[]],
}
"""Values at the edge of what a worker can write."""


def with_field(value: bytes, name: str, odd: Any) -> bytes:
    """Return the frame in `value` with one field changed."""
    record: Any = fastavro.schemaless_reader(io.BytesIO(value), SCHEMA, None)
    (record if name in record else record["signals"][0])[name] = odd
    file = io.BytesIO()
    fastavro.schemaless_writer(file, SCHEMA, record)
    return file.getvalue()


def odd_frames(fields: dict[str, Sequence[Any]], value: bytes) -> list[bytes | None]:
    """Return the frame in `value` with each odd value of each field of `fields`."""
    return [with_field(value, name, odd) for name, values in fields.items() for odd in values]


def not_frames(value: bytes) -> list[bytes | None]:
    """Return what is no frame; `value` is one."""
    head = [None, b"", b"\x00", b"\xff" * 40]
    return [*head, value[:-1], value[:20], b"\x00" + value, b"\x02\xff" + value]
