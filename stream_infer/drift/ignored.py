"""The signals that someone lets the monitor ignore, each with the incident that it was seen in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stream_infer.drift.alarms import Alarm, WindowResult
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.incident import Incident, group_of

DOCUMENT = "ignored"
_OF_VALUES = frozenset(
    {
        Aspect.MEAN,
        Aspect.SPREAD,
        Aspect.CATEGORIES,
        Aspect.UNSEEN,
        Aspect.OUT_OF_RANGE,
        Aspect.DISTRIBUTION,
    }
)
"""Aspects of one thing, the values of a column: who ignores one of them ignores all."""


class IgnoredSignals:
    """The ignored signals by incident. Values of a column are ignored together, each rate by itself."""

    def __init__(self, signals: Mapping[str, Signal] | None = None) -> None:
        self._signals = dict(signals or {})
        self._is_changed = False

    def ignore(self, incident_id: str, signal: Signal) -> None:
        """Raise no alarms about `signal` any more."""
        self._signals[incident_id] = signal
        self._is_changed = True

    def watch(self, incident_id: str) -> None:
        """Raise alarms again about the signal that was ignored with an incident."""
        self._signals.pop(incident_id, None)
        self._is_changed = True

    def has(self, signal: Signal) -> bool:
        """Whether `signal` is ignored."""
        return any(_is_covered(signal, ignored) for ignored in self._signals.values())

    def without(self, result: WindowResult) -> WindowResult:
        """Return `result` without the alarms about ignored signals."""
        if not self._signals or not (result.alarms or result.candidates):
            return result

        def watched(alarms: Sequence[Alarm]) -> Sequence[Alarm]:
            return [alarm for alarm in alarms if not self.has(alarm.signal)]

        return replace(result, alarms=watched(result.alarms), candidates=watched(result.candidates))

    def changed(self) -> Mapping[str, Callable[[], dict[str, Any]]]:
        """Return the maker of the document under its key, if it has changed since the last call."""
        changed, self._is_changed = self._is_changed, False
        return {DOCUMENT: self._document} if changed else {}

    def _document(self) -> dict[str, Any]:
        return {incident_id: list(signal) for incident_id, signal in self._signals.items()}

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> IgnoredSignals:
        """Return the signals that wrote `document`."""
        known = {key: Signal(kind, name, Aspect(aspect)) for key, (kind, name, aspect) in document.items()}
        return IgnoredSignals(known)


def drop_ignored(incident: Incident, ignored: IgnoredSignals) -> None:
    """Take the ignored signals out of an incident, which is named after one of them."""
    incident.tracks = {key: one for key, one in incident.tracks.items() if not ignored.has(key.signal)}
    left = [(key, track) for key, track in incident.tracks.items() if not track.ended]
    if not left:
        incident.tracks = {}
        return
    incident.members = list(dict.fromkeys(group_of(key.signal) for key, _ in left))
    key, track = left[0]
    incident.alarm = replace(
        incident.alarm,
        signal=key.signal,
        statistic=None,
        threshold=None,
        value=track.level,
        baseline=track.baseline,
        since_offset=track.since_offset,
        places=track.places,
        spread=track.spread,
        since_ms=track.since_ms,
    )


def _is_covered(signal: Signal, ignored: Signal) -> bool:
    same_values = {signal.aspect, ignored.aspect} <= _OF_VALUES and signal[:2] == ignored[:2]
    return signal == ignored or same_values
