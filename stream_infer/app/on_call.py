"""What the monitor tells by its clock of open incidents: reminders, the end of a silence, a heartbeat.

Time that passes is no fact of the log. So these events are made outside of `drift`, beside the transactions;
`backtest` never raises them, and they are marked (`attributes.clock`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from stream_infer.app.open_incident_text import duration_text
from stream_infer.flow.codes import EventType
from stream_infer.flow.events import AssignmentChanged, Event, ReadFinished
from stream_infer.ops.metrics import Metrics
from stream_infer.steps.monitoring.incident_desk import IncidentDesk
from stream_infer.steps.monitoring.open_incidents import INFO, SILENCE_ENDED, OpenIncident
from stream_infer.steps.monitoring.open_incidents import KINDS as INCIDENT_KINDS

_AGAIN_S = 60.0
"""What was posted and did not come back is posted again after so long: the topic may have been away."""
_SEVERITIES = (INFO, "warning", "critical")


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often an incident is told again, and how often the monitor says that it lives; in seconds."""

    remind_s: float
    heartbeat_s: float


class OnCallWatch:
    """An `Observer` of the monitor's loop. A monitor without partitions says nothing: another one does."""

    def __init__(
        self,
        pipeline: str,
        desk: Callable[[], IncidentDesk],
        post: Callable[[Mapping[str, object]], None],
        intervals: Intervals,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._desk = desk
        self._post = post
        self._intervals = intervals
        self._metrics = metrics
        self._clock = clock
        self._now_ms = now_ms
        self._is_assigned = False
        self._posted: dict[str, float] = {}
        self._next_heartbeat = 0.0

    def __call__(self, event: Event) -> None:
        match event:
            case AssignmentChanged():
                self._is_assigned = bool(event.owned)
            case ReadFinished() if self._is_assigned:
                self._look(is_idle=not event.records)

    def _look(self, *, is_idle: bool) -> None:
        desk, now_s, now_ms = self._desk(), self._clock(), self._now_ms()
        if not (desk.is_current or is_idle):
            return  # the topic is read from an earlier place: what looks open may be over
        counts = Counter((one.kind, one.severity) for one in desk.known.newest_first)
        every = {(kind, severity): 0 for kind in INCIDENT_KINDS for severity in _SEVERITIES}
        self._metrics.incidents({**every, **counts})
        due = {str(one["id"]): one for one in self._due(desk, now_ms)}
        self._posted = {key: at for key, at in self._posted.items() if key in due}
        for key, reminder in due.items():
            if now_s - self._posted.get(key, now_s - _AGAIN_S) >= _AGAIN_S:
                self._posted[key] = now_s
                self._post(reminder)
        if now_s >= self._next_heartbeat:
            self._next_heartbeat = now_s + self._intervals.heartbeat_s
            self._post(self._heartbeat(desk, now_ms))

    def _due(self, desk: IncidentDesk, now_ms: int) -> Iterator[Mapping[str, object]]:
        """Yield the events that are to be told now, the same ones until they are read back."""
        for one in desk.known.newest_first:
            until_ms = None if one.silenced is None else one.silenced.until_ms or 0
            if until_ms is not None and now_ms >= until_ms:
                said = f"the silence is over and this goes on: {one.newest}"
                yield self._reminder(one, now_ms, SILENCE_ENDED, f"{SILENCE_ENDED}/{until_ms}", said)
            elif (
                until_ms is None
                and one.acknowledged is None
                and one.severity != INFO
                and now_ms - one.told_ms >= self._intervals.remind_s * 1_000
            ):
                age = duration_text(now_ms - one.since_ms)
                said = f"open for {age}, and nobody has acknowledged it: {one.newest}"
                yield self._reminder(one, now_ms, "interval", f"reminder/{one.told_ms}", said)

    def _reminder(
        self, incident: OpenIncident, now_ms: int, cause: str, name: str, said: str
    ) -> Mapping[str, object]:
        return {
            "id": f"{self._pipeline}/{incident.id}/{name}",
            "type": EventType.INCIDENT_REMINDER,
            "severity": incident.severity,
            "time": now_ms,
            "pipeline": self._pipeline,
            "incident_id": incident.id,
            "summary": said,
            "model_version": incident.version or None,
            "model_digest": incident.digest or None,
            "attributes": {
                "cause": cause,
                "kind": incident.kind,
                "since_ms": str(incident.since_ms),
                "subject": incident.subject,
                "detector": incident.detector,
                "clock": "monitor",
            },
        }

    def _heartbeat(self, desk: IncidentDesk, now_ms: int) -> Mapping[str, object]:
        count = len(desk.known.newest_first)
        return {
            "id": f"{self._pipeline}/{EventType.HEARTBEAT}/{now_ms}",
            "type": EventType.HEARTBEAT,
            "severity": INFO,
            "time": now_ms,
            "pipeline": self._pipeline,
            "incident_id": None,
            "summary": f"the monitor lives; {count or 'no'} open incident{'' if count == 1 else 's'}",
            "attributes": {"open": str(count), "clock": "monitor"},
        }
