"""What one window of a stream showed: the values of its signals, and the changes that detectors see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_infer.drift.aspects import Signal
from stream_infer.drift.frames import ObservationFrame


@dataclass(frozen=True, slots=True)
class Alarm:
    """A detector sees a change in `signal`, which began about at `since_offset` of its partition.

    `value` and `baseline` are z-scores: of this window, and the median of the windows before.
    """

    signal: Signal
    detector: str
    parameters: Mapping[str, float]
    statistic: float | None
    threshold: float | None
    value: float
    baseline: float
    since_offset: int

    @property
    def deviation(self) -> float:
        """How far the signal is from its baseline, in standard errors of a window."""
        return abs(self.value - self.baseline)


@dataclass(frozen=True, slots=True)
class WindowResult:
    """The outcome of evaluating one window of a stream; windows are numbered from 1.

    `values` are z-scores by signal. `candidates` has an entry for every signal, alarm or not: how it stands
    to its baseline.
    """

    number: int
    frame: ObservationFrame
    alarms: Sequence[Alarm]
    values: Mapping[Signal, float]
    candidates: Sequence[Alarm]
