"""Incidents as monitoring events tell them, open ones first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]
"""The fields of `MonitoringEvent.avsc`, times in Unix milliseconds."""

MOST_INCIDENTS = 500
_MOST_SENTENCES = 20
# A name may hold a comma: a list goes on where another signal begins.
_BETWEEN = re.compile(r", (?=[a-z_ ]+ of (?:feature '|the )|dead letters)")
_OF_FEATURE = re.compile(r" of feature '(.*)'$", re.DOTALL)
_SAID = "incident."
"""How the types of events begin that are commands, replies and reminders about an incident."""
_WORSE = {"info": 0, "warning": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Told:
    """One event of an incident: its time (Unix ms), state, severity and sentence."""

    time_ms: int
    state: str
    severity: str
    sentence: str


@dataclass(slots=True)
class IncidentRecord:
    """An incident: what was told of it, its worst severity, its columns, and its offsets now.

    `features` are those that events are about, `members` the texts of what changed beside them.
    """

    id: str
    opened_ms: int
    state: str
    severity: str
    signal: str | None
    features: dict[str, None]
    members: dict[str, None]
    ranges: Sequence[Fields]
    model_version: str | None
    told: list[Told] = field(default_factory=list)
    left_out: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the incident has not ended."""
        return self.state != "resolved"

    def named_features(self) -> set[str]:
        """Return the features that the incident is of, and those that joined it."""
        joined = (_OF_FEATURE.search(one) for one in self.members)
        return {*self.features, *(found[1] for found in joined if found)}

    def take(self, event: Fields, state: str) -> None:
        """Take a further event of the incident."""
        self.state = state
        if _WORSE.get(event["severity"], 1) > _WORSE.get(self.severity, 1):
            self.severity = event["severity"]
        self.members.update(_members(event))
        drift = event["drift"]
        if drift is not None and drift["feature"] is not None:
            self.features[drift["feature"]] = None
        self.ranges = event["ranges"] or self.ranges
        self._tell(event, state)

    def hear(self, event: Fields) -> None:
        """Take what somebody says about the incident, or the monitor says to that: it changes no state."""
        said = event["type"].removeprefix(_SAID)
        self._tell(event, str(event["attributes"].get("action", said)))

    def _tell(self, event: Fields, state: str) -> None:
        self.told.append(Told(event["time"], state, event["severity"], event["summary"]))
        if len(self.told) > _MOST_SENTENCES:
            del self.told[1]
            self.left_out += 1


class IncidentHistory:
    """The newest incidents. Of several events with one id the first counts; the caller sees to that."""

    def __init__(self) -> None:
        self._found: dict[str, IncidentRecord] = {}
        self._ordered: Sequence[IncidentRecord] | None = None
        self._by_feature: dict[str, list[IncidentRecord]] | None = None

    def take(self, event: Fields) -> None:
        """Take an event, which may be of no incident."""
        incident_id = event["incident_id"]
        if incident_id is None:
            return
        self._ordered = self._by_feature = None
        known = self._found.get(incident_id)
        if event["type"].startswith(_SAID):
            if known is not None:
                known.hear(event)
            return
        state = _state(event)
        if known is None:
            known = self._found[incident_id] = IncidentRecord(
                id=incident_id,
                opened_ms=event["time"],
                state=state,
                severity=event["severity"],
                signal=event["drift"]["signal"] if event["drift"] else None,
                features={},
                members={},
                ranges=(),
                model_version=event["model_version"],
            )
            self._make_room(incident_id)
        known.take(event, state)

    def ordered(self) -> Sequence[IncidentRecord]:
        """Return the incidents: open ones first, the newest of each first."""
        if self._ordered is None:
            found = self._found.values()
            self._ordered = sorted(found, key=lambda one: (not one.is_open, -one.opened_ms, one.id))
        return self._ordered

    def concerning(self, feature: str) -> Sequence[IncidentRecord]:
        """Return the incidents of a feature, and those that it joined, in the same order."""
        if self._by_feature is None:
            self._by_feature = {}
            for one in self.ordered():
                for name in one.named_features():
                    self._by_feature.setdefault(name, []).append(one)
        return self._by_feature.get(feature, ())

    def _make_room(self, newest: str) -> None:
        if len(self._found) <= MOST_INCIDENTS:
            return
        others = [one for one in self._found.values() if one.id != newest]
        oldest = min(others, key=lambda one: (one.is_open, one.opened_ms))
        del self._found[oldest.id]


def _state(event: Fields) -> str:
    if event["type"] == "drift.resolved":
        return "resolved"
    return str(event["attributes"].get("state", "open"))


def _members(event: Fields) -> Iterator[tuple[str, None]]:
    """Yield what an event names as changed: its own signal, and those that joined it or moved with it."""
    for listed in ("also", "joined"):
        text = str(event["attributes"].get(listed, ""))
        yield from ((one, None) for one in _BETWEEN.split(text) if one)
