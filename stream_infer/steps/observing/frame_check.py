"""What a frame of our own can say: a foreign or damaged one must not reach the detectors.

Every rule holds for what `summaries` makes of any batch, and for frames that were merged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_CATEGORY,
    OUTPUT_NUMBER,
    ColumnSummary,
    ObservationFrame,
)
from stream_infer.steps.observing.frame_record import from_record
from stream_infer.steps.observing.layout import TOO_LARGE

_MOST = 2**32
"""Far more than a window has; the sums of as many as a topic can hold still fit into a long."""
_LARGEST = 10 * TOO_LARGE
_KINDS = frozenset({FEATURE_NUMBER, FEATURE_CATEGORY, OUTPUT_NUMBER, OUTPUT_CATEGORY})
_MOST_CHARACTERS = 1024
_SOURCE = re.compile(r"(serve/)?[A-Za-z0-9._-]{1,249}")  # a topic, or what is asked over HTTP
_DIGEST = re.compile(r"[A-Za-z0-9:._-]{1,128}")


def checked_frame(record: Mapping[str, Any], pipeline: str) -> ObservationFrame:
    """Return the frame in `record`. Raises `ValueError` when it cannot be one of `pipeline`."""
    if record["pipeline"] != pipeline:
        raise ValueError("an observation frame of another pipeline")
    frame = from_record(record)
    check_frame(frame)
    return frame


def check_frame(frame: ObservationFrame) -> None:
    """Raise `ValueError` with one sentence when `frame` cannot be one of our own."""
    for problem in _problems(frame):
        raise ValueError(f"not an observation frame: {problem}")


def _problems(frame: ObservationFrame) -> Iterator[str]:
    # Texts first: the other sentences name columns.
    yield from _text_problems(frame)
    counts = {"records": frame.records, "dead_letters": frame.dead_letters, "sampled": frame.sampled}
    yield from (f"{name} is {count}" for name, count in counts.items() if not 0 <= count <= _MOST)
    if max(frame.dead_letters, frame.sampled) > frame.records:
        yield "it has more rows than records"
    if not 0 <= frame.window_first_offset <= frame.first_offset <= frame.last_offset:
        yield "its offsets are not in order"
    if not frame.last_offset <= frame.window_last_offset <= frame.window_first_offset + _MOST:
        yield "its offsets are beyond its window"
    if not 0 <= frame.first_time_ms <= frame.last_time_ms:
        yield "its times are not in order"
    for one in frame.signals:
        yield from _summary_problems(one, frame)


def _text_problems(frame: ObservationFrame) -> Iterator[str]:
    if not _SOURCE.fullmatch(frame.source.topic) or frame.source.index < 0:
        yield "its source is no partition of a topic, nor of serve"
    if not _DIGEST.fullmatch(frame.digest):
        yield "its model_digest is not the digest of a package"
    if max(map(len, (frame.version, *(one.name for one in frame.signals)))) > _MOST_CHARACTERS:
        yield f"a name or version has more than {_MOST_CHARACTERS} characters"
    if not _KINDS.issuperset(one.kind for one in frame.signals):
        yield "a signal is of an unknown kind"
    if len({(one.kind, one.name) for one in frame.signals}) < len(frame.signals):
        yield "it has a signal twice"


def _summary_problems(one: ColumnSummary, frame: ObservationFrame) -> Iterator[str]:
    if not all(0 <= count <= _MOST for count in (one.count, one.nulls, one.non_finite, *one.bins)):
        yield f"a count of {one.name!r} is out of range"
    if one.count > frame.sampled or max(one.nulls, one.non_finite) > frame.records:
        yield f"{one.name!r} has more values than the frame has rows"
    if one.bins and sum(one.bins) != one.count:
        yield f"the bins of {one.name!r} do not add up to its values"
    # A NaN is within no bounds.
    if not all(abs(moment) <= _LARGEST for moment in (one.mean, one.low, one.high)) or one.low > one.high:
        yield f"a moment of {one.name!r} is impossible"
    if not 0 <= one.m2 <= one.count * _LARGEST**2:
        yield f"a moment of {one.name!r} is impossible"
