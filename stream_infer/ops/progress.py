"""The progress of the loop: a frozen value, and the cell with the newest one.

The loop's thread alone writes and replaces the whole value, so that any thread can read. No I/O; the clock is
passed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from stream_infer.flow.events import (
    AssignmentChanged,
    BatchAborted,
    BatchCommitted,
    Degraded,
    Event,
    PartitionsPaused,
)
from stream_infer.flow.records import Partition


class LoopState(StrEnum):
    """Phase of a worker's life. It only moves down this list."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Aborting:
    """No batch was committed since `since` (cell's clock, seconds); `reason` is that of the last abort."""

    since: float
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of the loop. `active_at` is the time of the last event, on the cell's clock, in seconds.

    `joined` is true from the first assignment on, also of no partition: a spare worker is ready. It is false
    after partitions were lost, until the next assignment. `degraded` has the reasons why monitoring is
    incomplete. `aborting` is set while batches are aborted one after another. `paused` is set while
    partitions wait for a schema.
    """

    active_at: float
    state: LoopState = LoopState.STARTING
    joined: bool = False
    owned: tuple[Partition, ...] = ()
    model_version: str | None = None
    degraded: tuple[str, ...] = ()
    aborting: Aborting | None = None
    paused: PartitionsPaused | None = None


def advance(progress: Progress, event: Event, *, now: float) -> Progress:
    """Return `progress` after `event`. Every event shows that the loop is alive."""
    match event:
        case AssignmentChanged():
            joined = event.kind == "assigned" or (progress.joined and event.kind != "lost")
            # The records of the aborted batch may belong to another worker now.
            return replace(progress, active_at=now, joined=joined, owned=event.owned, aborting=None)
        case BatchCommitted():
            return replace(progress, active_at=now, model_version=event.model_version, aborting=None)
        case BatchAborted():
            since = now if progress.aborting is None else progress.aborting.since
            return replace(progress, active_at=now, aborting=Aborting(since, event.reason))
        case PartitionsPaused():
            return replace(progress, active_at=now, paused=event if event.paused else None)
        case Degraded():
            return replace(progress, active_at=now, degraded=event.reasons)
        case _:
            return replace(progress, active_at=now)


class ProgressCell:
    """An observer that keeps the newest `Progress` in `current`, written by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.current = Progress(active_at=clock())

    def __call__(self, event: Event) -> None:
        self.current = advance(self.current, event, now=self._clock())

    def enter(self, state: LoopState) -> None:
        """Record the phase that the worker enters."""
        self.current = replace(self.current, state=state, active_at=self._clock())

    def serve(self, model_version: str) -> None:
        """Record the model that serves, before its first batch."""
        self.current = replace(self.current, model_version=model_version, active_at=self._clock())
