"""What people say about an incident: commands as records of the monitoring topic.

A command is a monitoring event of the type `incident.command` under the key of its incident,
`<pipeline>/<incident id>`. Whoever may WRITE the topic may command.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stream_infer.flow.codes import EventType


class Action(StrEnum):
    """What a command asks for."""

    ACKNOWLEDGE = "acknowledge"
    SILENCE = "silence"
    ACCEPT = "accept"
    IGNORE = "ignore"
    WATCH = "watch"


DONE: Mapping[Action, str] = {
    Action.ACKNOWLEDGE: "acknowledged",
    Action.SILENCE: "silenced",
    Action.ACCEPT: "accepted as the new normal",
    Action.IGNORE: "ignored",
    Action.WATCH: "watched again",
}
"""An action in the sentence "incident ... is ... by ..."."""


REFUSED = "refused"
"""The result in a reply to a command that could not be done."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command about one incident. `time_ms` is when it was given, `until_ms` when a silence ends."""

    id: str
    incident_id: str
    action: str
    by: str
    reason: str
    time_ms: int
    until_ms: int | None = None


def command_event(pipeline: str, command: Command, subject: str) -> dict[str, Any]:
    """Return the record of `command`; `subject` says what the incident is about."""
    until = {} if command.until_ms is None else {"until_ms": str(command.until_ms)}
    reason = f": {command.reason}" if command.reason else ""
    return {
        "id": command.id,
        "type": EventType.INCIDENT_COMMAND,
        "severity": "info",
        "time": command.time_ms,
        "pipeline": pipeline,
        "incident_id": command.incident_id,
        "summary": f"{subject or 'incident'} is {DONE[Action(command.action)]} by {command.by}{reason}",
        "attributes": {
            "action": command.action,
            "by": command.by,
            **({"reason": command.reason} if command.reason else {}),
            **until,
        },
    }


def command_of(event: Mapping[str, Any]) -> Command | None:
    """Return the command in a record, None where it is none of this release; `time` is Unix milliseconds."""
    said = event["attributes"]
    until = said.get("until_ms")
    known = said.get("action") in set(Action) and event["incident_id"] is not None
    if not known or (until is not None and not until.isdecimal()):
        return None
    return Command(
        event["id"],
        event["incident_id"],
        said["action"],
        said.get("by", ""),
        said.get("reason", ""),
        event["time"],
        None if until is None else int(until),
    )
