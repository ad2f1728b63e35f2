"""The part of the monitor's step that reads the monitoring topic: what is open, and what people say about it.

The monitor's own events come back here, so that it knows what everybody knows. A command is answered in the
transaction that it takes effect in, with the offset of the next observation: `backtest` replays it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stream_infer.drift.incident import Incident
from stream_infer.drift.monitor import Monitor
from stream_infer.flow.codes import EventType
from stream_infer.flow.records import Batch
from stream_infer.steps.monitoring.command_check import CommandRefusal, refusal
from stream_infer.steps.monitoring.drift_text import subject
from stream_infer.steps.monitoring.event_record import event_type_of, parse_event
from stream_infer.steps.monitoring.incident_command import DONE, REFUSED, Action, Command, command_of
from stream_infer.steps.monitoring.label_join import LabelJoinStep, rows_of
from stream_infer.steps.monitoring.open_incidents import FOLDED, INFO, OpenIncident, OpenIncidents

DOCUMENT = "open_incidents"
_ENDINGS = {Action.ACCEPT: "accepted", Action.IGNORE: "ignored"}


class IncidentDesk:
    """Takes the records of the monitoring topic `topic`; of another pipeline's none."""

    def __init__(self, pipeline: str, topic: str, document: Mapping[str, Any] | None = None) -> None:
        self._pipeline = pipeline
        self._topic = topic
        self._is_changed = False
        self.is_current = False
        """Whether the topic was read to its end with the last batch."""
        self.known = OpenIncidents() if document is None else OpenIncidents.from_document(document)

    def take(
        self, batch: Batch, observations: str, monitor: Monitor, labels: LabelJoinStep | None
    ) -> Iterator[Mapping[str, object]]:
        """Take the events and commands of `batch`; yield what the monitor answers."""
        owned = {partition for partition in batch.positions if partition.topic == self._topic}
        self.is_current = owned <= set(batch.ended)
        for row in rows_of(batch, self._topic):
            kind = event_type_of(batch.headers[row])
            if kind is not None and kind not in FOLDED:
                continue
            event = parse_event(batch.values[row] or b"")
            if event is None or event["pipeline"] != self._pipeline:
                continue
            if event["type"] == EventType.INCIDENT_COMMAND:
                command = command_of(event)
                if command is not None:
                    yield from self._obeyed(command, _next_observation(batch, observations), monitor, labels)
            self.known.take(event, batch.time_ms(row))
            self._is_changed = True

    def toned(self, event: Mapping[str, object]) -> Mapping[str, object]:
        """Return `event`, as information only while its incident is silenced."""
        incident = self.known.get(str(event.get("incident_id")))
        time_ms, attributes = event["time"], event.get("attributes", {})
        if incident is None or not isinstance(time_ms, int) or not isinstance(attributes, Mapping):
            return event
        if event["severity"] == INFO or not incident.is_silenced(time_ms):
            return event
        more = {"severity": str(event["severity"]), "silenced": "true"}
        return {**event, "severity": INFO, "attributes": {**attributes, **more}}

    def changed(self) -> Mapping[str, object]:
        """Return the document, if it has changed since the last call."""
        changed, self._is_changed = self._is_changed, False
        return {DOCUMENT: self.known.to_document()} if changed else {}

    def _obeyed(
        self, command: Command, before: int, monitor: Monitor, labels: LabelJoinStep | None
    ) -> Iterator[Mapping[str, object]]:
        """Do what `command` says; yield the end of its incident, if it ends, and the reply."""
        problem, incident = refusal(command, self.known), self.known.get(command.incident_id)
        if problem is None and incident is not None and command.action in _ENDINGS:
            yield self._changed(command, incident, _act(command, incident, monitor, labels))
        if problem is None and command.action == Action.WATCH:
            monitor.ignored.watch(command.incident_id)
        yield self._reply(command, before, problem)

    def _changed(
        self, command: Command, incident: OpenIncident, left: Incident | None
    ) -> Mapping[str, object]:
        """Return the event of an incident that is over, or goes on with what is `left` of it."""
        ending = _ENDINGS[Action(command.action)]
        attributes = {"state": "resolved", "ending": ending}
        done = DONE[Action(command.action)]
        of_drift, rest = EventType.DRIFT_RESOLVED, f"it was told as: {incident.summary}"
        if left is not None:
            members = ", ".join(dict.fromkeys(subject(key.signal) for key in left.tracks))
            attributes, of_drift = {"state": "updated", "members": members}, EventType.DRIFT_UPDATED
            rest = f"the incident goes on with {members}"
        reason = f": {command.reason}" if command.reason else ""
        return {
            "id": f"{self._pipeline}/{incident.id}/{ending}",
            "type": EventType.QUALITY if incident.kind == "quality" else of_drift,
            "severity": INFO,
            "time": command.time_ms,
            "pipeline": self._pipeline,
            "incident_id": incident.id,
            "summary": f"{incident.subject} is {done} by {command.by}{reason}; {rest}",
            "model_version": incident.version or None,
            "model_digest": incident.digest or None,
            "attributes": attributes,
        }

    def _reply(self, command: Command, before: int, problem: CommandRefusal | None) -> Mapping[str, object]:
        said = f"command of {command.by} to {command.action} incident {command.incident_id}"
        result = "done" if problem is None else f"refused: it {problem.message}; {problem.fix}"
        return {
            "id": f"{command.id}/reply",
            "type": EventType.INCIDENT_REPLY,
            "severity": INFO,
            "time": command.time_ms,
            "pipeline": self._pipeline,
            "incident_id": command.incident_id,
            "summary": f"{said}: {result}",
            "attributes": {
                "command": command.id,
                "action": command.action,
                "result": "done" if problem is None else REFUSED,
                "before_observation": str(before),
            },
        }


def _act(
    command: Command, incident: OpenIncident, monitor: Monitor, labels: LabelJoinStep | None
) -> Incident | None:
    """Do what ends an incident; return what it goes on with, if with anything."""
    if command.action == Action.IGNORE:
        return monitor.ignore(incident.id)
    if incident.kind != "errors":
        monitor.accept(incident.id)
    elif labels is not None:
        labels.performance.accept(incident.id)
    return None


def _next_observation(batch: Batch, topic: str) -> int:
    """Return the offset of the next observation of the first partition, before or in `batch`."""
    held = [offset for partition, offset in batch.positions.items() if partition.topic == topic]
    return min(held, default=0)
