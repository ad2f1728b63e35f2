"""Frames merged into windows: the moments at which detectors get a value.

A window of a partition closes when a frame of another window of it arrives: a later one, or an earlier one
where offsets were reset or the topic was recreated. It closes with a frame of another model too, and when
frames of other streams have arrived for long enough without one of its own. A closed window in which too few
rows were sampled is merged with the next one, so an evaluated window always has enough rows. Nothing here
reads a clock: `now_ms` is the time of the frame that arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stream_infer.drift.frame_documents import frame_from_document, frame_to_document
from stream_infer.drift.frames import ObservationFrame, merge_frames
from stream_infer.flow.records import Partition


class StreamKey(NamedTuple):
    """A stream: one source partition under one model."""

    source: Partition
    digest: str


PIPELINE = Partition("", -1)
"""The source of the levels of all partitions together."""
WHOLE = Partition("", -2)
"""The source of the stream of all partitions together, in which changes are seen."""


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """A window with `min_rows` sampled rows is evaluated; one without a frame for `max_age_ms` closes."""

    min_rows: int = 150
    max_age_ms: int = 600_000


@dataclass(frozen=True, slots=True)
class PendingWindow:
    """The open window of a stream, and the closed windows before it that had too few rows, merged.

    `touched_ms` is when the last frame arrived.
    """

    open: ObservationFrame | None
    waiting: ObservationFrame | None
    touched_ms: int


class Windows:
    """The windows that are not evaluated yet, one for each stream."""

    def __init__(self, policy: WindowPolicy) -> None:
        self._policy = policy
        self._pending: dict[StreamKey, PendingWindow] = {}
        self._changed: set[StreamKey] = set()

    @property
    def changed(self) -> frozenset[StreamKey]:
        """The streams that the last `add` changed."""
        return frozenset(self._changed)

    def add(self, frame: ObservationFrame, now_ms: int) -> Sequence[ObservationFrame]:
        """Take a frame; return the windows that are complete with it, in the order of their closing."""
        stream = StreamKey(frame.source, frame.digest)
        self._changed = {stream}
        complete = [window for other in self._overdue(stream, now_ms) for window in self._close(other)]
        pending = self._pending.get(stream, PendingWindow(None, None, now_ms))
        if pending.open is not None and _are_apart(pending.open, frame):
            complete += self._close(stream)
            pending = self._pending.get(stream, PendingWindow(None, None, now_ms))
        grown = frame if pending.open is None else merge_frames(pending.open, frame)
        self._pending[stream] = PendingWindow(grown, pending.waiting, now_ms)
        return complete

    def restore(self, stream: StreamKey, pending: PendingWindow) -> None:
        """Continue with the windows of a stream that were pending before."""
        self._pending[stream] = pending

    def pending(self, stream: StreamKey) -> PendingWindow | None:
        """Return what is pending of a stream, if anything is."""
        return self._pending.get(stream)

    def _overdue(self, current: StreamKey, now_ms: int) -> Sequence[StreamKey]:
        """Return streams to close: those of another model on this partition, and those without frames."""
        return [
            stream
            for stream, pending in sorted(self._pending.items())
            if stream != current
            and pending.open is not None
            and (stream.source == current.source or now_ms - pending.touched_ms > self._policy.max_age_ms)
        ]

    def _close(self, stream: StreamKey) -> Sequence[ObservationFrame]:
        self._changed.add(stream)
        pending = self._pending[stream]
        closed = pending.open
        if closed is None:
            return ()
        if pending.waiting is not None:
            closed = merge_frames(pending.waiting, closed)
        if closed.sampled < self._policy.min_rows:
            self._pending[stream] = PendingWindow(None, closed, pending.touched_ms)
            return ()
        del self._pending[stream]
        return (closed,)


def _are_apart(one: ObservationFrame, other: ObservationFrame) -> bool:
    """Whether no record can be in the windows of both frames."""
    return (
        one.window_last_offset < other.window_first_offset
        or other.window_last_offset < one.window_first_offset
    )


def pending_to_document(pending: PendingWindow) -> dict[str, object]:
    """Return the pending windows of a stream as JSON values."""
    return {
        "open": None if pending.open is None else frame_to_document(pending.open),
        "waiting": None if pending.waiting is None else frame_to_document(pending.waiting),
        "touched_ms": pending.touched_ms,
    }


def pending_from_document(document: Mapping[str, Any]) -> PendingWindow:
    """Return the pending windows that `pending_to_document` wrote."""
    return PendingWindow(
        None if document["open"] is None else frame_from_document(document["open"]),
        None if document["waiting"] is None else frame_from_document(document["waiting"]),
        int(document["touched_ms"]),
    )
