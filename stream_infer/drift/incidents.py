"""From alarms to incidents: one for one cause, a state that is updated, settles and is resolved.

Alarms arrive in crowds: one shift fires several detectors, in several signals of a feature, in the score that
follows from it, in every partition. An incident takes in

- every alarm about a feature (or output) that is in it and not back, in any partition;
- every alarm in the same partition within `horizon_windows` of its opening;
- every alarm about a change that began within so many windows of its own, in any partition: a small one takes
  longer to be seen;
- the outputs, while a feature's incident is open: they follow from their inputs. Dead letters do not.

It is named after the feature that moved most (`culprit`). A column that joins, a value that goes missing, and
a member that moves half as far again are told (`updated`). It is settled when its signals have kept their new
level for `settle_windows`: open still, but quiet. It is resolved when all of them are within the band of
before. A new model takes the features of an incident over; its outputs are its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stream_infer.drift.alarms import Alarm, WindowResult
from stream_infer.drift.aspects import RATES, Aspect, Signal
from stream_infer.drift.culprit import CONSEQUENCES, naming_alarm, with_means
from stream_infer.drift.incident import (
    Ending,
    Incident,
    IncidentChange,
    IncidentOpened,
    IncidentResolved,
    IncidentSettled,
    IncidentUpdated,
    Nature,
    State,
    Track,
    TrackKey,
    feature_of,
    group_of,
    incident_id,
)
from stream_infer.drift.incident_documents import incident_from_document, incident_to_document
from stream_infer.drift.windows import StreamKey

_WORSE = 1.5
_WORSE_WHILE_OPENING = 2.5
"""The first window of a change often has a part of it only."""
_LASTING = 2
_CERTAIN = 6.0
_MOVED = 4.0
_MISSING = frozenset({Aspect.NULLS, Aspect.NON_FINITE})


News = dict[str, list[tuple[Signal, bool]]]
"""The signals to be told by incident, and whether the incident knew them."""


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """How long alarms are merged, and how long a new level lasts until it is settled; in windows."""

    horizon_windows: int = 2
    settle_windows: int = 40


class Incidents:
    """The incidents of a pipeline that are not over."""

    def __init__(self, pipeline: str, policy: IncidentPolicy) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._open: list[Incident] = []

    def take(self, result: WindowResult) -> Sequence[IncidentChange]:
        """Take the result of a window; return what it changes."""
        stream = StreamKey(result.frame.source, result.frame.digest)
        for incident in self._open:
            _carry_over(incident, stream, result)
        news: News = {}
        new = [alarm for alarm in with_means(result) if not self._joined(alarm, stream, result, news)]
        changes: list[IncidentChange] = list(self._opened(new, stream, result, news))
        fresh = {change.incident.id for change in changes}
        for incident in list(self._open):
            told = [] if incident.id in fresh else news.get(incident.id, [])
            changes += self._followed(incident, told, stream, result)
        return changes

    def end(self, incident_id: str) -> Incident | None:
        """End an incident because someone says so; return it, None where it is not open."""
        ended = next((one for one in self._open if one.id == incident_id), None)
        if ended is not None:
            self._open.remove(ended)
        return ended

    def resume(self, incident: Incident) -> None:
        """Go on with an incident that `end` returned."""
        self._open.append(incident)

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {"open": [incident_to_document(incident) for incident in self._open]}

    @staticmethod
    def from_document(document: Mapping[str, Any], pipeline: str, policy: IncidentPolicy) -> Incidents:
        """Return the incidents that wrote `document`; what cools down there, in earlier releases, is left."""
        incidents = Incidents(pipeline, policy)
        incidents._open = [incident_from_document(one) for one in document["open"]]
        return incidents

    def _joined(self, alarm: Alarm, stream: StreamKey, result: WindowResult, news: News) -> bool:
        """Add `alarm` to the incident that it belongs to, and to `news` if it is to be told.

        Return whether there is one.
        """
        group = group_of(alarm.signal)
        incident = next((one for one in self._open if self._belongs(alarm, one, stream, result)), None)
        if incident is None:
            return False
        tracked = any(key.signal == alarm.signal and not t.ended for key, t in incident.tracks.items())
        lost = alarm.signal.aspect in _MISSING and not tracked
        distance = alarm.deviation / math.sqrt(max(1, result.frame.records))
        worse = distance >= _WORSE_WHILE_OPENING * incident.told.get(alarm.signal, math.inf)
        if group not in incident.members or lost or worse or _moved_anew(incident, alarm, stream):
            incident.told[alarm.signal] = max(distance, incident.told.get(alarm.signal, 0.0))
            news.setdefault(incident.id, []).append((alarm.signal, tracked))
            incident.state = State.OPEN
        if group not in incident.members:
            incident.members.append(group)
        track = incident.tracks.get(TrackKey(stream, alarm.signal))
        if track is None or track.ended:
            incident.tracks[TrackKey(stream, alarm.signal)] = _track(alarm, result)
        elif (
            result.number - track.opened_window <= self._policy.horizon_windows
            or abs(alarm.value - track.level) >= _MOVED * track.spread
        ):
            track.alarmed_window = result.number
        return True

    def _belongs(self, alarm: Alarm, incident: Incident, stream: StreamKey, result: WindowResult) -> bool:
        group = group_of(alarm.signal)
        output = group[1].startswith("output")
        if output and incident.digest != stream.digest:
            return False
        if any(group_of(key.signal) == group and not track.ended for key, track in incident.tracks.items()):
            return True
        own = [track for key, track in incident.tracks.items() if key.stream == stream]
        opened = min((track.opened_window for track in own), default=-math.inf)
        window = result.frame.window_last_offset - result.frame.window_first_offset + 1
        apart = min((abs(track.since_offset - alarm.since_offset) for track in own), default=math.inf)
        horizon = self._policy.horizon_windows
        near = result.number - opened <= horizon or apart <= horizon * window
        near = near or self._began_together(alarm, incident, _span_ms(result))
        of_feature = incident.nature is Nature.DRIFT and bool(feature_of(incident.alarm.signal))
        follows = output and of_feature and incident.state is State.OPEN
        return (near and (output or group[0] == incident.nature)) or follows

    def _began_together(self, alarm: Alarm, incident: Incident, span_ms: int) -> bool:
        """Whether the change of `alarm` began at the time of that of the incident, in whatever partition."""
        since = alarm.since_ms
        return since is not None and any(
            abs(track.since_ms - since) <= self._policy.horizon_windows * max(span_ms, track.span_ms)
            for track in incident.tracks.values()
            if track.since_ms is not None
        )

    def _opened(
        self,
        alarms: Sequence[Alarm],
        stream: StreamKey,
        result: WindowResult,
        news: News,
    ) -> Iterator[IncidentOpened]:
        for nature in (Nature.QUALITY, Nature.DRIFT):
            of_nature = [alarm for alarm in alarms if group_of(alarm.signal)[0] == nature]
            # What the first takes in is no second one: a burst of NaN is not also a drift of the score.
            of_nature = [alarm for alarm in of_nature if not self._joined(alarm, stream, result, news)]
            if not of_nature:
                continue
            naming, raised_by = naming_alarm(of_nature, result, nature)
            incident = Incident(
                incident_id(self._pipeline, naming.signal, result.frame),
                nature,
                naming,
                raised_by,
                result.frame.version,
                result.frame.digest,
                list(dict.fromkeys(group_of(alarm.signal) for alarm in (naming, *of_nature))),
                {TrackKey(stream, alarm.signal): _track(alarm, result) for alarm in (naming, *of_nature)},
            )
            self._open.append(incident)
            others = dict.fromkeys(alarm.signal for alarm in of_nature if alarm.signal != naming.signal)
            yield IncidentOpened(incident, result.frame, list(others))

    def _followed(
        self, incident: Incident, news: Sequence[tuple[Signal, bool]], stream: StreamKey, result: WindowResult
    ) -> Iterator[IncidentChange]:
        """Update the tracks of `incident` in this stream; yield what is to be told."""
        mine = {k: t for k, t in incident.tracks.items() if k.stream == stream and not t.ended}
        worse = [k.signal for k, track in mine.items() if self._is_worse(incident, k.signal, track, result)]
        worse = [signal for signal in worse if not _follows_mean(signal, incident)]
        told = bool(news or worse)
        for track in mine.values():
            track.alarmed_window = result.number if told else track.alarmed_window
            track.quiet = result.number - track.alarmed_window >= self._policy.settle_windows
        left = [track for track in incident.tracks.values() if not track.ended]
        if not left:
            self._open.remove(incident)
            own = any(key.stream.digest == stream.digest for key in incident.tracks)
            ending = Ending.RETURNED if own else Ending.REPLACED
            yield IncidentResolved(incident, result.frame, ending, result.places)
        elif told:
            incident.state = State.OPEN
            joined = dict.fromkeys(signal for signal, known in news if not known)
            moved = dict.fromkeys([*(signal for signal, known in news if known), *worse])
            yield IncidentUpdated(incident, result.frame, list(joined), list(moved), result.places)
        elif incident.state is State.OPEN and all(track.quiet for track in left):
            incident.state = State.SETTLED
            yield IncidentSettled(incident, result.frame, result.places)

    def _is_worse(self, incident: Incident, signal: Signal, track: Track, result: WindowResult) -> bool:
        """Take the value of this window; return whether the last two are further than what was told."""
        value = result.values.get(signal)
        if value is None:
            return False
        track.take(value)
        track.ended = track.is_back(signal)
        root = math.sqrt(max(1, result.frame.records))
        newest, lasting = (
            min(abs(one - track.baseline) for one in track.recent[-count:]) / root for count in (1, _LASTING)
        )
        told = incident.told.setdefault(signal, newest)
        opening = result.number - track.opened_window <= self._policy.horizon_windows
        worse = (_WORSE_WHILE_OPENING if opening else _WORSE) * told
        if opening and newest < worse:
            incident.told[signal] = max(newest, told)
        elif signal.aspect in RATES and newest >= _WORSE_WHILE_OPENING * told:
            certain = (newest - told) * root >= _CERTAIN * track.spread
            incident.told[signal] = newest if certain else told
            return certain
        elif len(track.recent) >= _LASTING and lasting >= worse:
            certain = (lasting - told) * root >= _CERTAIN * track.spread
            incident.told[signal] = lasting if certain else told
            return certain
        return False


def _follows_mean(signal: Signal, incident: Incident) -> bool:
    """Whether `signal` moves with the mean of its column, which is in the incident, or has no measure."""
    mean = signal._replace(aspect=Aspect.MEAN)
    return signal.aspect is Aspect.DISTRIBUTION or (
        signal.aspect in CONSEQUENCES and any(key.signal == mean for key in incident.tracks)
    )


def _moved_anew(incident: Incident, alarm: Alarm, stream: StreamKey) -> bool:
    """Whether a signal of a settled incident has left its new level, but not for the one of before."""
    track = incident.tracks.get(TrackKey(stream, alarm.signal))
    if track is None or track.ended or incident.state is not State.SETTLED:
        return False
    before, level = (abs(alarm.value - one) / track.spread for one in (track.baseline, track.level))
    return before >= _MOVED and level >= _MOVED


def _carry_over(incident: Incident, stream: StreamKey, result: WindowResult) -> None:
    """Let the new model of a source take over the tracks of the one before; those of outputs end."""
    for key, track in list(incident.tracks.items()):
        if key.stream.source != stream.source or key.stream == stream or track.ended:
            continue
        if key.signal.kind.startswith("output"):
            track.ended = True
        elif key.signal in result.values:
            del incident.tracks[key]
            moved = replace(track, opened_window=result.number, alarmed_window=result.number)
            incident.tracks.setdefault(TrackKey(stream, key.signal), moved)


def _track(alarm: Alarm, result: WindowResult) -> Track:
    number = result.number
    return Track(
        alarm.baseline,
        alarm.since_offset,
        number,
        number,
        alarm.spread,
        [alarm.value],
        places=alarm.places,
        since_ms=alarm.since_ms,
        span_ms=_span_ms(result),
    )


def _span_ms(result: WindowResult) -> int:
    return result.frame.last_time_ms - result.frame.first_time_ms
