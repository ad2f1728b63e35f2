"""The incidents that are open, as the monitoring topic tells: events and commands in, a list for people out.

The monitor folds the topic for reminders and metrics, `events --open` for the person who asks: both see the
same. Commands are the records of `incident_command`. Pure: reads no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from stream_infer.flow.codes import EventType
from stream_infer.steps.monitoring.incident_command import REFUSED, Action, Command, command_of

INFO = "info"
KINDS = ("drift", "quality", "errors", "liveness")
SILENCE_ENDED = "silence_ended"
"""The cause in the reminder about an incident that goes on after its silence, which is over with it."""
_SEVERITIES = (INFO, "warning", "critical")
_REMEMBERED = 200
"""So many incidents that are over are remembered, to tell them from unknown ones."""
_CHANGES = frozenset(
    {
        EventType.DRIFT_DETECTED,
        EventType.DRIFT_UPDATED,
        EventType.DRIFT_RESOLVED,
        EventType.QUALITY,
        EventType.LIVENESS,
    }
)
FOLDED = _CHANGES | {EventType.INCIDENT_COMMAND, EventType.INCIDENT_REPLY, EventType.INCIDENT_REMINDER}
"""The event types that change what is open."""


@dataclass(slots=True)
class OpenIncident:
    """One incident that is not over, and what people have said about it. Times are Unix milliseconds.

    `kind` is drift, quality, errors or liveness; `state` is open or settled. `members` are the signals in it,
    the one that names it first. `told_ms` is when it was told last as more than information. `detector` names
    what raised it, "" where no detector did.
    """

    id: str
    kind: str
    severity: str
    since_ms: int
    told_ms: int
    summary: str
    newest: str
    state: str = "open"
    members: list[str] = field(default_factory=list)
    detector: str = ""
    version: str = ""
    digest: str = ""
    acknowledged: Command | None = None
    silenced: Command | None = None

    @property
    def subject(self) -> str:
        """What it is about: the signal that names it, or else its first sentence."""
        return self.members[0] if self.members else self.summary

    def status(self, now_ms: int) -> str:
        """Return what people have said about it, or else its state."""
        if self.is_silenced(now_ms):
            return "silenced"
        return "acknowledged" if self.acknowledged is not None else self.state

    def is_silenced(self, now_ms: int) -> bool:
        """Whether it is silenced at `now_ms`."""
        return self.silenced is not None and now_ms < (self.silenced.until_ms or 0)


@dataclass(frozen=True, slots=True)
class IgnoredIncident:
    """The signal of an incident that someone lets the monitor ignore, and the command that said so."""

    subject: str
    command: Command


class OpenIncidents:
    """The incidents of one pipeline that are open, those ignored, and the ids of the newest that are over."""

    def __init__(self) -> None:
        self._open: dict[str, OpenIncident] = {}
        self._ended: dict[str, int] = {}
        self.ignored: dict[str, IgnoredIncident] = {}
        self.heartbeat_ms = 0
        """When the monitor was last known to live; 0 where that was never."""

    @property
    def newest_first(self) -> Sequence[OpenIncident]:
        """The open incidents, the newest first."""
        return sorted(self._open.values(), key=lambda one: (one.since_ms, one.id), reverse=True)

    def get(self, incident_id: str) -> OpenIncident | None:
        """Return an open incident."""
        return self._open.get(incident_id)

    def newest_of(self, prefix: str) -> int | None:
        """Return when the newest open incident began whose id is `prefix` and that time; None without one."""
        times = [key.removeprefix(prefix) for key in self._open if key.startswith(prefix)]
        return max((int(one) for one in times if one.isdecimal()), default=None)

    def ended_ms(self, incident_id: str) -> int | None:
        """Return when an incident ended; None for one that is open or unknown."""
        return self._ended.get(incident_id)

    def named(self, prefix: str) -> Sequence[str]:
        """Return the ids of known incidents that begin with `prefix`; an exact one alone."""
        known = [*self._open, *self.ignored, *self._ended]
        return [prefix] if prefix in known else list(dict.fromkeys(i for i in known if i.startswith(prefix)))

    def take(self, event: Mapping[str, Any], logged_ms: int | None = None) -> None:
        """Take the next event of the topic, which was written at `logged_ms`; times are Unix milliseconds.

        The time of an event is that of the records that it follows from, which may be long ago.
        """
        kind, incident_id = event["type"], event["incident_id"]
        if kind == EventType.HEARTBEAT:
            self.heartbeat_ms = max(self.heartbeat_ms, event["time"])
        if incident_id is None:
            return
        if kind in _CHANGES:
            self._change(incident_id, event, event["time"] if logged_ms is None else logged_ms)
        elif kind == EventType.INCIDENT_COMMAND:
            command = command_of(event)
            if command is not None:
                self._obey(command)
        elif kind == EventType.INCIDENT_REPLY and event["attributes"].get("result") == REFUSED:
            self.ignored.pop(incident_id, None)
        elif kind == EventType.INCIDENT_REMINDER and incident_id not in self._ended:
            # Its opening may have been deleted with the oldest events of the topic.
            self._open.setdefault(incident_id, _opened(incident_id, event, event["time"]))
            known = self._open[incident_id]
            known.told_ms = max(event["time"], known.told_ms)
            if event["attributes"].get("cause") == SILENCE_ENDED:
                known.silenced = None

    def to_document(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "open": [asdict(one) for one in self._open.values()],
            "ended": self._ended,
            "ignored": {key: asdict(one) for key, one in self.ignored.items()},
        }

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> OpenIncidents:
        """Return the incidents that wrote `document`."""
        known = OpenIncidents()
        for one in document["open"]:
            said = {key: one[key] and Command(**one[key]) for key in ("acknowledged", "silenced")}
            known._open[one["id"]] = OpenIncident(**{**one, **said})
        known._ended = dict(document["ended"])
        for key, one in document["ignored"].items():
            known.ignored[key] = IgnoredIncident(one["subject"], Command(**one["command"]))
        return known

    def _change(self, incident_id: str, event: Mapping[str, Any], logged_ms: int) -> None:
        attributes = event["attributes"]
        state = attributes.get("state") or _state_of_earlier_release(event["type"])
        if state == "resolved":
            self._open.pop(incident_id, None)
            self._end(incident_id, event["time"])
            return
        known = self._open.get(incident_id)
        if known is None:
            if incident_id in self._ended and event["time"] <= self._ended[incident_id]:
                return
            known = self._open[incident_id] = _opened(incident_id, event, logged_ms)
        known.newest = event["summary"]
        known.state = "settled" if state == "settled" else "open"
        severity = attributes.get("severity", event["severity"])
        if severity != INFO:
            known.severity = max(severity, known.severity, key=_rank)
        if event["severity"] != INFO:
            known.told_ms = max(known.told_ms, logged_ms)
        if "members" in attributes:
            known.members = _texts(attributes["members"])
        joined = _texts(attributes.get("joined", ""))
        known.members += [one for one in joined if one not in known.members]

    def _obey(self, command: Command) -> None:
        known = self._open.get(command.incident_id)
        match command.action:
            case Action.ACKNOWLEDGE if known is not None:
                known.acknowledged = command
            case Action.SILENCE if known is not None:
                known.silenced = command
            case Action.IGNORE if known is not None:
                self.ignored[known.id] = IgnoredIncident(known.subject, command)
            case Action.WATCH:
                self.ignored.pop(command.incident_id, None)

    def _end(self, incident_id: str, time_ms: int) -> None:
        self._ended.pop(incident_id, None)
        self._ended[incident_id] = time_ms
        while len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]


def _opened(incident_id: str, event: Mapping[str, Any], logged_ms: int) -> OpenIncident:
    drift, attributes = event["drift"], event["attributes"]
    subject = attributes.get("subject") or ("" if drift is None else _subject(drift))
    return OpenIncident(
        incident_id,
        _kind(event),
        attributes.get("severity", event["severity"]),
        int(attributes.get("since_ms", event["time"])),
        logged_ms,
        event["summary"],
        event["summary"],
        members=[one for one in (subject, *_texts(attributes.get("also", ""))) if one],
        detector=attributes.get("detector", "") if drift is None else drift["detector"],
        version=event["model_version"] or "",
        digest=event["model_digest"] or "",
    )


def _texts(joined: str) -> list[str]:
    return [one for one in joined.split(", ") if one]


def _subject(drift: Mapping[str, Any]) -> str:
    """Return what an incident of an earlier release is about, whose events did not say it."""
    signal = drift["signal"].replace("_", " ")
    return signal if drift["feature"] is None else f"{signal} of feature '{drift['feature']}'"


def _kind(event: Mapping[str, Any]) -> str:
    drift, told = event["drift"], event["attributes"].get("kind")
    if told in KINDS:
        return str(told)
    if drift is not None and drift["signal"] == "error":
        return "errors"
    return {EventType.QUALITY: "quality", EventType.LIVENESS: "liveness"}.get(event["type"], "drift")


def _state_of_earlier_release(event_type: str) -> str:
    return "resolved" if event_type == EventType.DRIFT_RESOLVED else "open"


def _rank(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else len(_SEVERITIES)
