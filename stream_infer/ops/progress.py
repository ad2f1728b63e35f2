"""The progress of the loop: a frozen value, and the cell with the newest one.

The loop's thread alone writes and replaces the whole value, so that any thread can read. No I/O; the clock is
passed in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from stream_infer.flow.events import (
    AssignmentChanged,
    AssignmentDelayed,
    BatchAborted,
    BatchCommitted,
    ClientFailed,
    Degraded,
    Event,
    PartitionsHalted,
    PartitionsPaused,
    TopicsMissing,
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
    """No batch was committed since `since` (cell's clock, seconds).

    `reason` is that of the last abort, `partitions` are those of its batch.
    """

    since: float
    reason: str
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class ClientTrouble:
    """The last failure that a Kafka client reported, `at` seconds on the cell's clock."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of the loop. `active_at` is the time of the last event, on the cell's clock, in seconds.

    `joined` is true from the first assignment on, also of no partition: a spare worker is ready. It is false
    after partitions were lost, until the next assignment. `degraded` has the reasons why monitoring is
    incomplete. `aborting` is set while batches are aborted one after another. `paused` has the partitions
    that wait now, for each cause. `delayed` is set while assigned partitions wait for their first offset.
    `trouble` is the last failure of a client since a commit or an assignment. `not_following_since` is set
    while the deployer stands (UTC).
    `halted` are partitions that wait for a decision, `missing` are input topics that do not exist.
    """

    active_at: float
    state: LoopState = LoopState.STARTING
    joined: bool = False
    owned: tuple[Partition, ...] = ()
    model_version: str | None = None
    degraded: tuple[str, ...] = ()
    not_following_since: str | None = None
    aborting: Aborting | None = None
    paused: tuple[PartitionsPaused, ...] = ()
    delayed: AssignmentDelayed | None = None
    trouble: ClientTrouble | None = None
    halted: Mapping[Partition, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def advance(progress: Progress, event: Event, *, now: float) -> Progress:
    """Return `progress` after `event`. Every event shows that the loop is alive."""
    match event:
        case AssignmentChanged():
            assigned = event.kind == "assigned"
            return replace(
                progress,
                active_at=now,
                joined=assigned or (progress.joined and event.kind != "lost"),
                owned=event.owned,
                aborting=_still_aborting(progress.aborting, event),
                trouble=None if assigned else progress.trouble,
            )
        case AssignmentDelayed():
            return replace(progress, active_at=now, delayed=event if event.waiting else None)
        case BatchCommitted():
            return replace(progress, active_at=now, aborting=None, trouble=None)
        case ClientFailed():
            return replace(progress, active_at=now, trouble=ClientTrouble(now, event.reason))
        case BatchAborted():
            since = now if progress.aborting is None else progress.aborting.since
            return replace(progress, active_at=now, aborting=Aborting(since, event.reason, event.partitions))
        case PartitionsPaused():
            others = tuple(one for one in progress.paused if one.cause is not event.cause)
            return replace(progress, active_at=now, paused=(*others, event) if event.paused else others)
        case PartitionsHalted():
            return replace(progress, active_at=now, halted=event.reasons)
        case TopicsMissing():
            return replace(progress, active_at=now, missing=event.topics)
        case Degraded():
            return replace(progress, active_at=now, degraded=event.reasons)
        case _:
            return replace(progress, active_at=now)


def _still_aborting(aborting: Aborting | None, event: AssignmentChanged) -> Aborting | None:
    """Return `aborting`, unless the records of the aborted batch belong to other workers now.

    A batch that outlasts the limits of the group takes the assignment away itself: only the next assignment
    shows where its partitions are.
    """
    if aborting is None or (event.kind == "assigned" and not {*aborting.partitions} & {*event.owned}):
        return None
    return aborting


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

    def follow(self, not_since: str | None) -> None:
        """Record since when the deployer stands, as text in UTC, or that it does not."""
        self.current = replace(self.current, not_following_since=not_since)

    def serve(self, model_version: str) -> None:
        """Record the model that serves from now on."""
        self.current = replace(self.current, model_version=model_version, active_at=self._clock())
