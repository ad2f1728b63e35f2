"""From alarms to incidents: one for one cause, opened once, resolved once.

Alarms arrive in crowds: one shift fires several detectors, in several signals of a feature, in the score that
follows from it, in every partition. An incident takes in

- every alarm about a feature (or output) that is already in it, in any partition;
- every alarm in the same partition within `horizon_windows` of its opening;
- the outputs and the dead letters, while a feature's incident is open: they follow from their inputs.

It is named after the feature that moved most. It is resolved when its signals are back for `calm_windows`, or
have kept their new level for `settle_windows` without another alarm, or their model no longer serves. For
`cool_windows` after that an alarm about the same feature waits (see `cooldown`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_infer.drift.alarms import Alarm, WindowResult
from stream_infer.drift.aspects import Aspect
from stream_infer.drift.cooldown import Cooldown
from stream_infer.drift.incident import (
    Ending,
    Group,
    Incident,
    IncidentChange,
    IncidentOpened,
    IncidentResolved,
    Nature,
    Track,
    feature_of,
    group_of,
    incident_id,
)
from stream_infer.drift.incident_documents import (
    cooling_from_document,
    cooling_to_document,
    incident_from_document,
    incident_to_document,
)
from stream_infer.drift.windows import StreamKey

_RETURNED = 3.0
_NOTABLE = 4.0
_FOLLOWS = 0.7
"""An output moves about as far as the feature that it follows from, in standard errors, hardly further."""


@dataclass(frozen=True, slots=True)
class IncidentPolicy:
    """How alarms are merged, and how long signals have to be calm; all in windows of one stream."""

    horizon_windows: int = 2
    calm_windows: int = 3
    settle_windows: int = 40
    cool_windows: int = 10


class Incidents:
    """The open incidents of a pipeline, and the columns whose incident is just over."""

    def __init__(self, pipeline: str, policy: IncidentPolicy) -> None:
        self._pipeline = pipeline
        self._policy = policy
        self._open: list[Incident] = []
        self._cooldown = Cooldown(policy.cool_windows)

    def take(self, result: WindowResult) -> Sequence[IncidentChange]:
        """Take the result of a window; return the incidents that it opens and ends."""
        stream = StreamKey(result.frame.source, result.frame.digest)
        new = [alarm for alarm in result.alarms if not self._joined(alarm, stream, result)]
        new = [alarm for alarm in new if not self._cooldown.defer(alarm, stream, result.number)]
        new += self._cooldown.finish(stream, result)
        changes: list[IncidentChange] = list(self._opened(new, stream, result))
        changes += self._resolved(stream, result)
        return changes

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {
            "open": [incident_to_document(incident) for incident in self._open],
            "cooling": [cooling_to_document(column) for column in self._cooldown.columns],
        }

    @staticmethod
    def from_document(document: Mapping[str, Any], pipeline: str, policy: IncidentPolicy) -> Incidents:
        """Return the incidents that wrote `document`."""
        incidents = Incidents(pipeline, policy)
        incidents._open = [incident_from_document(one) for one in document["open"]]
        cooling = [cooling_from_document(one) for one in document["cooling"]]
        incidents._cooldown = Cooldown(policy.cool_windows, cooling)
        return incidents

    def _joined(self, alarm: Alarm, stream: StreamKey, result: WindowResult) -> bool:
        """Add `alarm` to the open incident that it belongs to; return whether there is one."""
        group = group_of(alarm.signal)
        incident = next((one for one in self._open if self._belongs(group, one, stream, result)), None)
        if incident is None:
            return False
        if group not in incident.members:
            incident.members.append(group)
        track = incident.tracks.get(stream)
        if track is None or track.ended:
            incident.tracks[stream] = _track(alarm, result)
        else:
            track.alarmed_window, track.calm = result.number, 0
        return True

    def _belongs(self, group: Group, incident: Incident, stream: StreamKey, result: WindowResult) -> bool:
        if incident.digest != stream.digest:
            return False
        if group in incident.members:
            return True
        track = incident.tracks.get(stream)
        horizon = self._policy.horizon_windows
        near = track is not None and result.number - track.opened_window <= horizon
        follows = not group[1].startswith("feature")
        of_feature = incident.nature is Nature.DRIFT and bool(feature_of(incident.alarm.signal))
        return (near and (follows or group[0] == incident.nature)) or (follows and of_feature)

    def _opened(
        self, alarms: Sequence[Alarm], stream: StreamKey, result: WindowResult
    ) -> Iterator[IncidentOpened]:
        for nature in (Nature.QUALITY, Nature.DRIFT):
            of_nature = [alarm for alarm in alarms if group_of(alarm.signal)[0] == nature]
            # What the first takes in is no second one: a burst of NaN is not also a drift of the score.
            of_nature = [alarm for alarm in of_nature if not self._joined(alarm, stream, result)]
            if not of_nature:
                continue
            naming, raised_by = _naming_alarm(of_nature, result, nature)
            incident = Incident(
                incident_id(self._pipeline, naming.signal, result.frame),
                nature,
                naming,
                raised_by,
                result.frame.version,
                result.frame.digest,
                list(dict.fromkeys(group_of(alarm.signal) for alarm in (naming, *of_nature))),
                {stream: _track(naming, result)},
            )
            self._open.append(incident)
            others = dict.fromkeys(alarm.signal for alarm in of_nature if alarm.signal != naming.signal)
            yield IncidentOpened(incident, result.frame, list(others))

    def _resolved(self, stream: StreamKey, result: WindowResult) -> Iterator[IncidentResolved]:
        for incident in list(self._open):
            ending = self._ending(incident, stream, result)
            if ending is not None:
                self._open.remove(incident)
                yield IncidentResolved(incident, result.frame, ending)

    def _ending(self, incident: Incident, stream: StreamKey, result: WindowResult) -> Ending | None:
        """Update the tracks of `incident` on this partition; return its ending when all tracks have ended."""
        ending = None
        for place, track in incident.tracks.items():
            if track.ended or place.source != stream.source:
                continue
            if place != stream:
                track.ended, ending = True, Ending.REPLACED
                continue
            value = result.values.get(track.signal)
            if value is not None:
                track.calm = track.calm + 1 if abs(value - track.baseline) < _RETURNED else 0
            if track.calm >= self._policy.calm_windows:
                track.ended, ending = True, Ending.RETURNED
            elif result.number - track.alarmed_window >= self._policy.settle_windows:
                track.ended, ending = True, Ending.SETTLED
            if track.ended and value is not None:
                self._cooldown.start(incident, stream, result, value)
        return ending if all(track.ended for track in incident.tracks.values()) else None


def _naming_alarm(alarms: Sequence[Alarm], result: WindowResult, nature: Nature) -> tuple[Alarm, str]:
    """Return the alarm that names an incident, and the detector that raised it.

    A feature before an output, the one that moved most before others. Where only an output alarms while a
    feature stands out as far, the incident is that feature's.
    """
    features = [alarm for alarm in alarms if feature_of(alarm.signal)]
    if features:
        naming = max(features, key=_rank)
        return naming, naming.detector
    raised = max(alarms, key=_rank)
    least = max(_NOTABLE, _FOLLOWS * raised.deviation)
    candidates = [
        one
        for one in result.candidates
        if feature_of(one.signal) and one.deviation >= least and group_of(one.signal)[0] == nature
    ]
    naming = max(candidates, key=lambda alarm: alarm.deviation, default=raised)
    return naming, f"{raised.detector} on {raised.signal.name or 'records'}"


def _rank(alarm: Alarm) -> tuple[bool, float]:
    """Order alarms: "the mean went up" says more than "the distribution is another"."""
    return alarm.signal.aspect is not Aspect.DISTRIBUTION, alarm.deviation


def _track(alarm: Alarm, result: WindowResult) -> Track:
    return Track(alarm.signal, alarm.baseline, alarm.since_offset, result.number, result.number)
