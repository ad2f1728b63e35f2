"""An incident: one cause, the signals that it moved in each stream, its state, and how it ended."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from stream_infer.drift.alarms import Alarm, Place
from stream_infer.drift.aspects import QUALITY, RATES, Aspect, Signal
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.windows import StreamKey

_RECENT = 20
_CERTAIN = 14.0
"""Windows that are back count as certain when their number times the squared distance is at least this."""
_FEWEST, _SEVERAL, _LONG = 3, 4, 8
_BURST = 4.0
"""A burst of a rate was so many spreads above."""


class Ending(StrEnum):
    """Why an incident is over."""

    RETURNED = "returned"
    REPLACED = "replaced"
    ACCEPTED = "accepted"
    IGNORED = "ignored"


class State(StrEnum):
    """The state of an incident that is not over. One that is settled keeps a new level, and is quiet."""

    OPEN = "open"
    SETTLED = "settled"


class Nature(StrEnum):
    """The subject of an incident: the distribution of values, or values that should not be there at all."""

    DRIFT = "drift"
    QUALITY = "quality"


Group = tuple[str, str, str]
"""Nature, kind and name: the same for all alarms about one column."""


class TrackKey(NamedTuple):
    """The place of a track: a stream, and one of its signals."""

    stream: StreamKey
    signal: Signal


@dataclass(slots=True)
class Track:
    """One signal of an incident in one stream. Windows are numbers of the stream's windows.

    `baseline` is the z-score before, `spread` how much those before differ; `recent` has the newest z-scores
    since, from that of the alarm on. It is quiet when nothing has moved for long. `places` are those of the
    first alarm. `since_ms` is the time of the first record of the window with which the change began,
    `span_ms` how long a window of the stream takes.
    """

    baseline: float
    since_offset: int
    opened_window: int
    alarmed_window: int
    spread: float = 1.0
    recent: list[float] = field(default_factory=list)
    ended: bool = False
    places: tuple[Place, ...] = ()
    quiet: bool = False
    since_ms: int | None = None
    span_ms: int = 0

    def take(self, value: float) -> None:
        """Take the z-score of the next window."""
        self.recent = [*self.recent[-_RECENT + 1 :], value]

    @property
    def level(self) -> float:
        """The level that the signal keeps, as z-score."""
        return statistics.median(self.recent) if self.recent else self.baseline

    def is_back(self, signal: Signal) -> bool:
        """Whether the newest windows are within the band of before.

        The nearer the level of the windows before them is to the baseline, the more it takes to tell them
        apart. A burst of a rate is over when several windows, each of them, are in the band. Another signal
        whose windows since its alarm are those of before has not moved: its detector saw it come back.
        """
        if signal.aspect in RATES:
            if self._was_a_burst():
                return True
        elif len(self.recent) >= _LONG and self._off(self.recent) < self.spread / 2:
            return True
        for count in range(_FEWEST, len(self.recent)):
            level = statistics.median(self.recent[:-count])
            distance = abs(level - self.baseline) / self.spread
            certain = count * max(distance - 1, 0.5) ** 2 >= _CERTAIN or count == _RECENT - 1
            if certain or signal.aspect is Aspect.DISTRIBUTION:
                if signal.aspect in RATES:
                    return statistics.fmean(self.recent[-count:]) < self._most
                return self._off(self.recent[-count:]) < self.spread
        return False

    @property
    def _most(self) -> float:
        """The end of the band of a rate: less than before is no worse."""
        return max(self.baseline, 0.0) + self.spread

    def _off(self, values: Sequence[float]) -> float:
        return abs(statistics.fmean(values) - self.baseline)

    def _was_a_burst(self) -> bool:
        if len(self.recent) <= _SEVERAL or max(self.recent) - self.baseline < _BURST * self.spread:
            return False
        return max(self.recent[-_SEVERAL:]) < self._most


@dataclass(slots=True)
class Incident:
    """An incident that is not over, named after `alarm`; `raised_by` is the detector that fired first.

    `members` are the columns that belong to it. `told` has the distance of each signal from its baseline as
    it was told last, in standard deviations of one record.
    """

    id: str
    nature: Nature
    alarm: Alarm
    raised_by: str
    version: str
    digest: str
    members: list[Group]
    tracks: dict[TrackKey, Track] = field(default_factory=dict)
    told: dict[Signal, float] = field(default_factory=dict)
    state: State = State.OPEN


@dataclass(frozen=True, slots=True)
class IncidentOpened:
    """A new incident, and the window that it was seen in; `also` are the other signals that moved."""

    incident: Incident
    frame: ObservationFrame
    also: Sequence[Signal]


@dataclass(frozen=True, slots=True)
class IncidentUpdated:
    """An incident that goes on: signals that joined it, and members that moved further or anew."""

    incident: Incident
    frame: ObservationFrame
    joined: Sequence[Signal]
    moved: Sequence[Signal]
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class IncidentSettled:
    """An incident whose signals have kept their new level for long; it stays open, and quiet."""

    incident: Incident
    frame: ObservationFrame
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class IncidentResolved:
    """An incident that is over, and the window that ended it; `places` are those of a whole pipeline."""

    incident: Incident
    frame: ObservationFrame
    ending: Ending
    places: tuple[Place, ...] = ()


IncidentChange = IncidentOpened | IncidentUpdated | IncidentSettled | IncidentResolved


def group_of(signal: Signal) -> Group:
    """Return the group of all alarms about the column of `signal`."""
    nature = Nature.QUALITY if signal.aspect in QUALITY else Nature.DRIFT
    return (nature.value, signal.kind, signal.name)


def feature_of(signal: Signal) -> str | None:
    """Return the feature that `signal` is about, or None for outputs and dead letters."""
    return signal.name if signal.kind.startswith("feature") else None


def incident_id(pipeline: str, signal: Signal, frame: ObservationFrame) -> str:
    """Return 16 hexadecimal digits of signal, place and model: the same log gives the same id again."""
    place = (frame.source.topic, str(frame.source.index), str(frame.last_offset), frame.digest)
    return hashlib.sha256("\n".join((pipeline, *signal, *place)).encode()).hexdigest()[:16]
