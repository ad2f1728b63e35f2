"""What the loop did last: a frozen value, and the cell that holds the newest one.

The loop's thread is the only writer and replaces the value whole; anyone may read. No I/O; the clock is
passed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from stream_infer.flow.events import AssignmentChanged, BatchAborted, BatchCommitted, Degraded, Event
from stream_infer.flow.records import Partition


class LoopState(StrEnum):
    """Where the worker is in its life; it only moves down this list."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Aborting:
    """No batch has been committed since `since` (on the cell's clock); the last was aborted for `reason`."""

    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The loop at one moment. `active_at` is on the monotonic clock of the cell, in seconds.

    `joined` is true from the first assignment on, even of no partition at all: a spare worker is a ready one.
    It turns false when the partitions are lost, until the next assignment. `degraded` says what the worker
    goes on without. `aborting` since when and why batches have been aborted, one after another.
    """

    active_at: float
    state: LoopState = LoopState.STARTING
    joined: bool = False
    owned: tuple[Partition, ...] = ()
    model_version: str | None = None
    degraded: tuple[str, ...] = ()
    aborting: Aborting | None = None


def advance(progress: Progress, event: Event, *, now: float) -> Progress:
    """Return `progress` after `event`. Any event shows that the loop is alive."""
    match event:
        case AssignmentChanged():
            joined = event.kind == "assigned" or (progress.joined and event.kind != "lost")
            # Its records may be another's now.
            return replace(progress, active_at=now, joined=joined, owned=event.owned, aborting=None)
        case BatchCommitted():
            return replace(progress, active_at=now, model_version=event.model_version, aborting=None)
        case BatchAborted():
            since = now if progress.aborting is None else progress.aborting.since
            return replace(progress, active_at=now, aborting=Aborting(since, event.reason))
        case Degraded():
            return replace(progress, active_at=now, degraded=event.reasons)
        case _:
            return replace(progress, active_at=now)


class ProgressCell:
    """An observer that keeps the newest `Progress` in `current`: one reference, one writer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.current = Progress(active_at=clock())

    def __call__(self, event: Event) -> None:
        self.current = advance(self.current, event, now=self._clock())

    def enter(self, state: LoopState) -> None:
        """Record that the worker is in `state` now."""
        self.current = replace(self.current, state=state, active_at=self._clock())

    def serve(self, model_version: str) -> None:
        """Record that the worker has a model to score with, before its first batch."""
        self.current = replace(self.current, model_version=model_version, active_at=self._clock())
