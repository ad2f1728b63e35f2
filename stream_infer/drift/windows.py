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

from stream_infer.drift.frames import Frame, folded, from_document, to_document
from stream_infer.flow.records import Partition


class Lane(NamedTuple):
    """One source partition under one model: what a look is about."""

    source: Partition
    digest: str


@dataclass(frozen=True, slots=True)
class WindowPolicy:
    """`look_rows` sampled rows make a look; a window of which nothing comes for `max_age_ms` closes."""

    look_rows: int = 150
    max_age_ms: int = 600_000


@dataclass(frozen=True, slots=True)
class Gathering:
    """A window under way, and the closed ones that wait for it. `touched_ms` is when it last grew."""

    open: Frame | None
    waiting: Frame | None
    touched_ms: int


class Windows:
    """The windows under way, one for each lane."""

    def __init__(self, policy: WindowPolicy) -> None:
        self._policy = policy
        self._lanes: dict[Lane, Gathering] = {}
        self._moved: set[Lane] = set()

    @property
    def moved(self) -> frozenset[Lane]:
        """The lanes that the last `add` changed."""
        return frozenset(self._moved)

    def add(self, frame: Frame, now_ms: int) -> Sequence[Frame]:
        """Take a frame; return the looks that are complete with it, in the order of their closing."""
        here = Lane(frame.source, frame.digest)
        self._moved = {here}
        looks = [look for lane in self._overdue(here, now_ms) for look in self._close(lane)]
        gathering = self._lanes.get(here, Gathering(None, None, now_ms))
        if gathering.open is not None and gathering.open.window_last_offset < frame.window_first_offset:
            looks += self._close(here)
            gathering = self._lanes.get(here, Gathering(None, None, now_ms))
        grown = frame if gathering.open is None else folded(gathering.open, frame)
        self._lanes[here] = Gathering(grown, gathering.waiting, now_ms)
        return looks

    def restore(self, lane: Lane, gathering: Gathering) -> None:
        """Go on with a window that was under way."""
        self._lanes[lane] = gathering

    def lanes(self) -> Mapping[Lane, Gathering]:
        """Return what is under way."""
        return self._lanes

    def _overdue(self, here: Lane, now_ms: int) -> Sequence[Lane]:
        """Return lanes to close: those left behind by another model, and those without news for long."""
        return [
            lane
            for lane, gathering in sorted(self._lanes.items())
            if lane != here
            and gathering.open is not None
            and (lane.source == here.source or now_ms - gathering.touched_ms > self._policy.max_age_ms)
        ]

    def _close(self, lane: Lane) -> Sequence[Frame]:
        self._moved.add(lane)
        gathering = self._lanes[lane]
        closed = gathering.open
        if closed is None:
            return ()
        if gathering.waiting is not None:
            closed = folded(gathering.waiting, closed)
        if closed.sampled < self._policy.look_rows:
            self._lanes[lane] = Gathering(None, closed, gathering.touched_ms)
            return ()
        del self._lanes[lane]
        return (closed,)


def write(gathering: Gathering) -> dict[str, object]:
    """Return a lane's windows as JSON values."""
    return {
        "open": None if gathering.open is None else to_document(gathering.open),
        "waiting": None if gathering.waiting is None else to_document(gathering.waiting),
        "touched_ms": gathering.touched_ms,
    }


def read(document: Mapping[str, Any]) -> Gathering:
    """Return what `write` wrote."""
    return Gathering(
        None if document["open"] is None else from_document(document["open"]),
        None if document["waiting"] is None else from_document(document["waiting"]),
        int(document["touched_ms"]),
    )
