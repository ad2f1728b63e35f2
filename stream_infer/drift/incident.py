"""An incident: one cause, the signals that it moved in each stream, and how it ended."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from stream_infer.drift.alarms import Alarm
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.windows import StreamKey

_QUALITY = frozenset({Aspect.NON_FINITE, Aspect.DEAD_LETTERS})


class Ending(StrEnum):
    """Why an incident is over."""

    RETURNED = "returned"
    SETTLED = "settled"
    REPLACED = "replaced"


class Nature(StrEnum):
    """The subject of an incident: the distribution of values, or values that should not be there at all."""

    DRIFT = "drift"
    QUALITY = "quality"


Group = tuple[str, str, str]
"""Nature, kind and name: the same for all alarms about one column."""


@dataclass(slots=True)
class Track:
    """One signal of an incident in one stream. Windows are numbers of the stream's windows.

    `calm` counts windows in a row at the baseline, a z-score.
    """

    signal: Signal
    baseline: float
    since_offset: int
    opened_window: int
    alarmed_window: int
    calm: int = 0
    ended: bool = False


@dataclass(slots=True)
class Incident:
    """An open incident, named after `alarm`; `raised_by` is the detector that fired first.

    `members` are the columns that belong to it, `tracks` has one signal of it for each stream.
    """

    id: str
    nature: Nature
    alarm: Alarm
    raised_by: str
    version: str
    digest: str
    members: list[Group]
    tracks: dict[StreamKey, Track] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IncidentOpened:
    """A new incident, and the window that it was seen in; `also` are the other signals that moved."""

    incident: Incident
    frame: ObservationFrame
    also: Sequence[Signal]


@dataclass(frozen=True, slots=True)
class IncidentResolved:
    """An incident that is over, and the window that ended it."""

    incident: Incident
    frame: ObservationFrame
    ending: Ending


IncidentChange = IncidentOpened | IncidentResolved


def group_of(signal: Signal) -> Group:
    """Return the group of all alarms about the column of `signal`."""
    nature = Nature.QUALITY if signal.aspect in _QUALITY else Nature.DRIFT
    return (nature.value, signal.kind, signal.name)


def feature_of(signal: Signal) -> str | None:
    """Return the feature that `signal` is about, or None for outputs and dead letters."""
    return signal.name if signal.kind.startswith("feature") else None


def incident_id(pipeline: str, signal: Signal, frame: ObservationFrame) -> str:
    """Return 16 hexadecimal digits of signal, place and model: the same log gives the same id again."""
    place = (frame.source.topic, str(frame.source.index), str(frame.last_offset), frame.digest)
    return hashlib.sha256("\n".join((pipeline, *signal, *place)).encode()).hexdigest()[:16]
