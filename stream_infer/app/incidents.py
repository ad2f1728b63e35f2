"""The open incidents of a pipeline, read from its monitoring topic, and the commands that are written to it.

Reading needs READ on the topic, a command WRITE too. Neither joins a group.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from stream_infer.app.kit.records import event_writer
from stream_infer.app.monitoring_events import EventFilter, logged_events
from stream_infer.app.schema_registry import monitoring_event_id
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka.sync_produce import produce_sync
from stream_infer.steps.monitoring.command_check import refusal
from stream_infer.steps.monitoring.event_output import event_output
from stream_infer.steps.monitoring.event_time import format_time
from stream_infer.steps.monitoring.incident_command import Action, Command, command_event
from stream_infer.steps.monitoring.open_incidents import FOLDED, OpenIncidents

_WITHIN_S = 10.0
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class IncidentRequest:
    """What a person asks for: an action on an incident whose id begins with `name`."""

    action: Action
    name: str
    by: str
    reason: str | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class GivenCommand:
    """A command that the broker has, and what it is about."""

    command: Command
    subject: str


def read_incidents(settings: Settings) -> OpenIncidents:
    """Return the incidents as the topic tells them now. Raises what `read_events` raises."""
    known = OpenIncidents()
    for event in logged_events(settings, EventFilter(types=FOLDED | {EventType.HEARTBEAT})):
        if event["pipeline"] == settings.pipeline:
            known.take(event)
    return known


def give_command(settings: Settings, request: IncidentRequest, now_ms: int) -> GivenCommand:
    """Write a command to the monitoring topic; return it once the broker has it.

    Raises `Misconfigured` where the incident is unknown or over, or the command has no meaning for it;
    `BrokerUnreachable` or another `Fatal`.
    """
    _check_silence(request, now_ms)
    known = read_incidents(settings)
    incident_id = _found(known, request)
    command = Command(
        f"{settings.pipeline}/{incident_id}/{request.action}/{now_ms}-{secrets.token_hex(4)}",
        incident_id,
        request.action,
        request.by,
        request.reason or "",
        now_ms,
        request.until_ms,
    )
    problem = refusal(command, known)
    if problem is not None:
        raise Misconfigured([Problem("ID", request.name, problem.message, problem.fix)])
    subject = _subject(known, incident_id)
    writer = event_writer(settings, monitoring_event_id(settings))
    record = event_output(settings.pipeline, [command_event(settings.pipeline, command, subject)], writer)
    [key], [value], [headers] = record.keys, record.values, record.headers
    topic = settings.monitoring.topic or ""
    produce_sync(settings.kafka, topic, key or b"", value, headers or (), within_s=_WITHIN_S)
    return GivenCommand(command, subject)


def _found(known: OpenIncidents, request: IncidentRequest) -> str:
    """Return the id of the incident that is meant."""
    matching = known.named(request.name)
    if len(matching) == 1:
        return matching[0]
    if matching:
        shown = ", ".join(matching[:_SHOWN])
        raise Misconfigured([Problem("ID", request.name, f"begins several ids: {shown}", "write more of it")])
    of_open = ", ".join(one.id for one in known.newest_first[:_SHOWN])
    fix = f"use one of: {of_open}" if of_open else "none is open: see `stream-infer events`"
    raise Misconfigured([Problem("ID", request.name, "is no incident of this pipeline", fix)])


def _subject(known: OpenIncidents, incident_id: str) -> str:
    incident, ignored = known.get(incident_id), known.ignored.get(incident_id)
    if incident is not None:
        return incident.subject
    return "" if ignored is None else ignored.subject


def _check_silence(request: IncidentRequest, now_ms: int) -> None:
    """Raise `Misconfigured` where the end of a silence is missing or not ahead."""
    if request.action is not Action.SILENCE:
        return
    if request.until_ms is None:
        raise Misconfigured(
            [Problem("--for", "", "a silence has an end", "for example --for 2h, or --until")]
        )
    if request.until_ms <= now_ms:
        shown = format_time(request.until_ms)
        raise Misconfigured([Problem("--until", shown, "is in the past", "name a time that is to come")])
