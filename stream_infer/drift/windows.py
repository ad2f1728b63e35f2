"""Frames folded into windows, and windows into looks: the moments at which detectors get a value.

A window of a partition closes when a frame of a later window of it arrives (or one of another model), or when
frames of others have arrived for long enough without one of its own. Windows in which too few rows were
sampled wait for the next one, so a look always holds enough rows. Nothing here knows a clock: `now_ms` is the
time of the frame that arrives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stream_infer.drift.frames import ObservationFrame, folded, from_document, to_document
from stream_infer.flow.records import Partition


class StreamKey(NamedTuple):
    """One source partition under one model: what a look is about."""

    source: Partition
    digest: str


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """`look_rows` sampled rows make a look; a window of which nothing comes for `max_age_ms` closes."""

    look_rows: int = 150
    max_age_ms: int = 600_000


@dataclass(frozen=True, slots=True)
class PendingWindow:
    """A window under way, and the closed ones that wait for it. `touched_ms` is when it last grew."""

    open: ObservationFrame | None
    waiting: ObservationFrame | None
    touched_ms: int


class Windows:
    """The windows under way, one for each stream."""

    def __init__(self, policy: WindowPolicy) -> None:
        self._policy = policy
        self._streams: dict[StreamKey, PendingWindow] = {}
        self._moved: set[StreamKey] = set()

    @property
    def moved(self) -> frozenset[StreamKey]:
        """The streams that the last `add` changed."""
        return frozenset(self._moved)

    def add(self, frame: ObservationFrame, now_ms: int) -> Sequence[ObservationFrame]:
        """Take a frame; return the looks that are complete with it, in the order of their closing."""
        here = StreamKey(frame.source, frame.digest)
        self._moved = {here}
        looks = [look for stream in self._overdue(here, now_ms) for look in self._close(stream)]
        gathering = self._streams.get(here, PendingWindow(None, None, now_ms))
        if gathering.open is not None and gathering.open.window_last_offset < frame.window_first_offset:
            looks += self._close(here)
            gathering = self._streams.get(here, PendingWindow(None, None, now_ms))
        grown = frame if gathering.open is None else folded(gathering.open, frame)
        self._streams[here] = PendingWindow(grown, gathering.waiting, now_ms)
        return looks

    def restore(self, stream: StreamKey, gathering: PendingWindow) -> None:
        """Go on with a window that was under way."""
        self._streams[stream] = gathering

    def streams(self) -> Mapping[StreamKey, PendingWindow]:
        """Return what is under way."""
        return self._streams

    def _overdue(self, here: StreamKey, now_ms: int) -> Sequence[StreamKey]:
        """Return streams to close: those left behind by another model, and those without news for long."""
        return [
            stream
            for stream, gathering in sorted(self._streams.items())
            if stream != here
            and gathering.open is not None
            and (stream.source == here.source or now_ms - gathering.touched_ms > self._policy.max_age_ms)
        ]

    def _close(self, stream: StreamKey) -> Sequence[ObservationFrame]:
        self._moved.add(stream)
        gathering = self._streams[stream]
        closed = gathering.open
        if closed is None:
            return ()
        if gathering.waiting is not None:
            closed = folded(gathering.waiting, closed)
        if closed.sampled < self._policy.look_rows:
            self._streams[stream] = PendingWindow(None, closed, gathering.touched_ms)
            return ()
        del self._streams[stream]
        return (closed,)


def pending_to_document(gathering: PendingWindow) -> dict[str, object]:
    """Return a stream's windows as JSON values."""
    return {
        "open": None if gathering.open is None else to_document(gathering.open),
        "waiting": None if gathering.waiting is None else to_document(gathering.waiting),
        "touched_ms": gathering.touched_ms,
    }


def pending_from_document(document: Mapping[str, Any]) -> PendingWindow:
    """Return what `pending_to_document` wrote."""
    return PendingWindow(
        None if document["open"] is None else from_document(document["open"]),
        None if document["waiting"] is None else from_document(document["waiting"]),
        int(document["touched_ms"]),
    )
