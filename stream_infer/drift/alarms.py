"""What one window of a stream showed: the values of its signals, and the changes that detectors see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stream_infer.drift.aspects import Signal
from stream_infer.drift.frames import ObservationFrame


class Place(NamedTuple):
    """The part of a window that is of one partition; both offsets are inclusive."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """A detector sees a change in `signal`, which began about at `since_offset` of its partition.

    `value` and `baseline` are z-scores: of this window, and the median of the windows before, which differ by
    `spread`. An alarm of a whole pipeline began at `places`, one for each of its partitions. `since_ms` is
    the time of the first record of the window with which the change began, where that is known.
    """

    signal: Signal
    detector: str
    parameters: Mapping[str, float]
    statistic: float | None
    threshold: float | None
    value: float
    baseline: float
    since_offset: int
    places: tuple[Place, ...] = ()
    spread: float = 1.0
    since_ms: int | None = None

    @property
    def deviation(self) -> float:
        """How far the signal is from its baseline, in standard errors of a window."""
        return abs(self.value - self.baseline)


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The outcome of evaluating one window of a stream; windows are numbered from 1.

    `values` are z-scores by signal. `candidates` say how signals stand to their baselines that may be the
    cause of the alarms: the means of the features that alarm, or all signals where only outputs do. A window
    of a whole pipeline has `places`, one for each of its partitions.
    """

    number: int
    frame: ObservationFrame
    alarms: Sequence[Alarm]
    values: Mapping[Signal, float]
    candidates: Sequence[Alarm]
    places: tuple[Place, ...] = ()
