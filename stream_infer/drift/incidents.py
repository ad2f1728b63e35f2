"""From alarms to incidents: one for one cause, opened once, resolved once.

Alarms arrive in crowds: one shift fires several detectors, in several signals of a feature, in the score that
follows from it, in every partition. An incident takes in

- whatever is about a feature (or output) that is already in it, in any partition;
- whatever fires in the same partition within `horizon_looks` of its opening;
- the outputs and the dead letters, while a feature's incident is open: they follow from their inputs.

It is named after the feature that moved most. It is resolved when its signals are back for `calm_looks`, or
have kept their new level for `settle_looks` without another alarm, or their model no longer serves. For
`cool_looks` after that an alarm about the same feature waits, and counts only if the change is still there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from stream_infer.drift.detector_bank import Alarm, WindowResult
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.windows import StreamKey
from stream_infer.drift.zscores import Aspect, Signal
from stream_infer.flow.records import Partition

_QUALITY = frozenset({Aspect.NON_FINITE, Aspect.DEAD_LETTERS})
_STILL_APART = 4.0
_BACK_APART = 3.0
_SUSPECT_PART = 0.7
"""What follows from a feature moves about as far as it, in standard errors, and hardly further."""


class Ending(StrEnum):
    """Why an incident is over."""

    RETURNED = "returned"
    SETTLED = "settled"
    REPLACED = "replaced"


class Nature(StrEnum):
    """What an incident is about: the distribution of values, or values that should not be there at all."""

    DRIFT = "drift"
    QUALITY = "quality"


Group = tuple[str, str, str]
"""Nature, kind and name: what alarms about one column share."""


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """How alarms are merged, and how long things have to be quiet; all in looks of one partition."""

    horizon_looks: int = 2
    calm_looks: int = 3
    settle_looks: int = 40
    cool_looks: int = 10


@dataclass(slots=True)
class Track:
    """One signal of an incident in one stream."""

    signal: Signal
    usual: float
    since_offset: int
    opened_look: int
    alarmed_look: int
    calm: int = 0
    ended: bool = False


@dataclass(slots=True)
class Incident:
    """Something that goes on. `tracks` are by stream; `alarm` is what it was named after."""

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
    """A new incident, in the look that it was seen in; `also` are the other columns that moved."""

    incident: Incident
    frame: ObservationFrame
    also: Sequence[Signal]


@dataclass(frozen=True, slots=True)
class IncidentResolved:
    """An incident that is over."""

    incident: Incident
    frame: ObservationFrame
    ending: Ending


@dataclass(slots=True)
class Cooling:
    """A column whose incident is just over: the level it ended at, and an alarm that waits."""

    stream: StreamKey
    group: Group
    signal: Signal
    level: float
    until_look: int
    waiting: Alarm | None = None


Change = IncidentOpened | IncidentResolved


class Incidents:
    """The open incidents of a pipeline, and those just over."""

    def __init__(self, pipeline: str, policy: IncidentPolicy) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._open: list[Incident] = []
        self._cooling: list[Cooling] = []

    @property
    def open(self) -> Sequence[Incident]:
        """What goes on now."""
        return self._open

    def take(self, look: WindowResult) -> Sequence[Change]:
        """Take what a look shows; return the incidents that it opens and ends."""
        stream = StreamKey(look.frame.source, look.frame.digest)
        fresh = [alarm for alarm in look.alarms if not self._joined(alarm, stream, look)]
        fresh = [alarm for alarm in fresh if not self._waits(alarm, stream, look)]
        fresh += self._waited(stream, look)
        changes: list[Change] = list(self._opened(fresh, stream, look))
        changes += self._ended(stream, look)
        return changes

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {
            "open": [_incident(one) for one in self._open],
            "cooling": [_cooling(one) for one in self._cooling],
        }

    @staticmethod
    def from_document(document: Mapping[str, Any], pipeline: str, policy: IncidentPolicy) -> Incidents:
        """Return the incidents that wrote `document`."""
        incidents = Incidents(pipeline, policy)
        incidents._open = [_read_incident(one) for one in document["open"]]
        incidents._cooling = [_read_cooling(one) for one in document["cooling"]]
        return incidents

    def _joined(self, alarm: Alarm, stream: StreamKey, look: WindowResult) -> bool:
        group = group_of(alarm.signal)
        incident = next((one for one in self._open if self._belongs(group, one, stream, look)), None)
        if incident is None:
            return False
        if group not in incident.members:
            incident.members.append(group)
        track = incident.tracks.get(stream)
        if track is None or track.ended:
            incident.tracks[stream] = _track(alarm, look)
        else:
            track.alarmed_look, track.calm = look.number, 0
        return True

    def _belongs(self, group: Group, incident: Incident, stream: StreamKey, look: WindowResult) -> bool:
        if incident.digest != stream.digest:
            return False
        if group in incident.members:
            return True
        track = incident.tracks.get(stream)
        near = track is not None and look.number - track.opened_look <= self._policy.horizon_looks
        follows = not group[1].startswith("feature")
        of_feature = incident.nature is Nature.DRIFT and bool(feature_of(incident.alarm.signal))
        return (near and (follows or group[0] == incident.nature)) or (follows and of_feature)

    def _waits(self, alarm: Alarm, stream: StreamKey, look: WindowResult) -> bool:
        group = group_of(alarm.signal)
        for one in self._cooling:
            if one.stream == stream and one.group == group and look.number < one.until_look:
                one.waiting = alarm
                return True
        return False

    def _waited(self, stream: StreamKey, look: WindowResult) -> Sequence[Alarm]:
        """Return alarms that waited out the cooling and whose change is still there, as it is now."""
        over = [one for one in self._cooling if one.stream == stream and look.number >= one.until_look]
        self._cooling = [one for one in self._cooling if one not in over]
        return [
            replace(one.waiting, value=look.values.get(one.waiting.signal, one.waiting.value))
            for one in over
            if one.waiting is not None and _is_still_there(one, one.waiting, look)
        ]

    def _opened(
        self, fresh: Sequence[Alarm], stream: StreamKey, look: WindowResult
    ) -> Iterator[IncidentOpened]:
        for nature in (Nature.QUALITY, Nature.DRIFT):
            alarms = [alarm for alarm in fresh if group_of(alarm.signal)[0] == nature]
            if not alarms:
                continue
            # What the first takes in is no second one: a burst of NaN is not also a drift of the score.
            alarms = [alarm for alarm in alarms if not self._joined(alarm, stream, look)]
            if not alarms:
                continue
            named, raised = _named(alarms, look, nature)
            groups = dict.fromkeys(group_of(alarm.signal) for alarm in (named, *alarms))
            incident = Incident(
                _id(self._pipeline, named.signal, look.frame),
                nature,
                named,
                raised,
                look.frame.version,
                look.frame.digest,
                list(groups),
                {stream: _track(named, look)},
            )
            self._open.append(incident)
            others = {alarm.signal: None for alarm in alarms if alarm.signal != named.signal}
            yield IncidentOpened(incident, look.frame, list(others))

    def _ended(self, stream: StreamKey, look: WindowResult) -> Iterator[IncidentResolved]:
        for incident in list(self._open):
            ending = self._ending(incident, stream, look)
            if ending is not None:
                self._open.remove(incident)
                yield IncidentResolved(incident, look.frame, ending)

    def _ending(self, incident: Incident, stream: StreamKey, look: WindowResult) -> Ending | None:
        """Note what the look says about `incident`; return how it ended, when nothing of it goes on."""
        ending = None
        for place, track in incident.tracks.items():
            if track.ended or place.source != stream.source:
                continue
            if place != stream:
                track.ended, ending = True, Ending.REPLACED
                continue
            value = look.values.get(track.signal)
            if value is not None:
                track.calm = track.calm + 1 if abs(value - track.usual) < _BACK_APART else 0
            if track.calm >= self._policy.calm_looks:
                track.ended, ending = True, Ending.RETURNED
            elif look.number - track.alarmed_look >= self._policy.settle_looks:
                track.ended, ending = True, Ending.SETTLED
            if track.ended and value is not None:
                self._cool(incident, stream, look, value)
        return ending if all(track.ended for track in incident.tracks.values()) else None

    def _cool(self, incident: Incident, stream: StreamKey, look: WindowResult, value: float) -> None:
        until = look.number + self._policy.cool_looks
        track = incident.tracks[stream]
        for group in incident.members:
            own = group == group_of(track.signal)
            signal = track.signal if own else Signal(group[1], group[2], Aspect.MEAN)
            level = value if own else look.values.get(signal, 0.0)
            self._cooling.append(Cooling(stream, group, signal, level, until))


def group_of(signal: Signal) -> Group:
    """Return what alarms about the column of `signal` share."""
    nature = Nature.QUALITY if signal.aspect in _QUALITY else Nature.DRIFT
    return (nature.value, signal.kind, signal.name)


def feature_of(signal: Signal) -> str | None:
    """Return the feature that `signal` is about, if it is about one."""
    return signal.name if signal.kind.startswith("feature") else None


def _named(alarms: Sequence[Alarm], look: WindowResult, nature: Nature) -> tuple[Alarm, str]:
    """Return the alarm that names an incident, and who raised it.

    A feature before an output, the one that moved most before others. Where only an output alarms while a
    feature stands out as far, the incident is that feature's.
    """
    features = [alarm for alarm in alarms if feature_of(alarm.signal)]
    if features:
        named = max(features, key=_telling)
        return named, named.detector
    raised = max(alarms, key=_telling)
    least = max(_STILL_APART, _SUSPECT_PART * raised.apart)
    suspects = [
        one
        for one in look.suspects
        if feature_of(one.signal) and one.apart >= least and group_of(one.signal)[0] == nature
    ]
    named = max(suspects, key=lambda alarm: alarm.apart, default=raised)
    return named, f"{raised.detector} on {raised.signal.name or 'records'}"


def _telling(alarm: Alarm) -> tuple[bool, float]:
    """Order alarms: "the mean went up" says more than "the distribution is another"."""
    return alarm.signal.aspect is not Aspect.DISTRIBUTION, alarm.apart


def _is_still_there(cooling: Cooling, alarm: Alarm, look: WindowResult) -> bool:
    """Whether a column is still away from the level it had settled at, and on the side that `alarm` saw."""
    value = look.values.get(cooling.signal, cooling.level)
    if alarm.signal != cooling.signal:
        return abs(value - cooling.level) >= _STILL_APART
    side = math.copysign(1.0, alarm.value - cooling.level)
    return side * (value - cooling.level) >= _STILL_APART


def _track(alarm: Alarm, look: WindowResult) -> Track:
    return Track(alarm.signal, alarm.usual, alarm.since_offset, look.number, look.number)


def _id(pipeline: str, signal: Signal, frame: ObservationFrame) -> str:
    """Return an id that the same log gives again: of what, where and under which model."""
    what = "\n".join(
        (pipeline, *signal, frame.source.topic, str(frame.source.index), str(frame.last_offset), frame.digest)
    )
    return hashlib.sha256(what.encode()).hexdigest()[:16]


def _incident(one: Incident) -> dict[str, object]:
    return {
        "id": one.id,
        "nature": one.nature.value,
        "alarm": _alarm(one.alarm),
        "raised_by": one.raised_by,
        "version": one.version,
        "digest": one.digest,
        "members": [list(group) for group in one.members],
        "tracks": [[*_lane(stream), asdict(track)] for stream, track in one.tracks.items()],
    }


def _read_incident(document: Mapping[str, Any]) -> Incident:
    tracks = {
        StreamKey(Partition(topic, index), digest): Track(**{**track, "signal": _signal(track["signal"])})
        for topic, index, digest, track in document["tracks"]
    }
    return Incident(
        document["id"],
        Nature(document["nature"]),
        _read_alarm(document["alarm"]),
        document["raised_by"],
        document["version"],
        document["digest"],
        [(nature, kind, name) for nature, kind, name in document["members"]],
        tracks,
    )


def _cooling(one: Cooling) -> dict[str, object]:
    return {
        "lane": _lane(one.stream),
        "group": list(one.group),
        "signal": list(one.signal),
        "level": one.level,
        "until_look": one.until_look,
        "waiting": None if one.waiting is None else _alarm(one.waiting),
    }


def _read_cooling(document: Mapping[str, Any]) -> Cooling:
    topic, index, digest = document["lane"]
    nature, kind, name = document["group"]
    waiting = document["waiting"]
    return Cooling(
        StreamKey(Partition(topic, index), digest),
        (nature, kind, name),
        _signal(document["signal"]),
        document["level"],
        document["until_look"],
        None if waiting is None else _read_alarm(waiting),
    )


def _alarm(one: Alarm) -> dict[str, object]:
    return asdict(one)


def _read_alarm(document: Mapping[str, Any]) -> Alarm:
    return Alarm(**{**document, "signal": _signal(document["signal"])})


def _signal(document: Sequence[str]) -> Signal:
    kind, name, aspect = document
    return Signal(kind, name, Aspect(aspect))


def _lane(stream: StreamKey) -> list[object]:
    return [stream.source.topic, stream.source.index, stream.digest]
