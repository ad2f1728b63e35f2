"""Whether a command has a meaning for its incident: asked before it is written, and by the monitor again."""

from __future__ import annotations

from typing import NamedTuple

from stream_infer.drift.pipeline_levels import LIMIT
from stream_infer.steps.monitoring.incident_command import Action, Command
from stream_infer.steps.monitoring.open_incidents import OpenIncident, OpenIncidents

_SILENCE_IT = "silence it for as long as needed"


class CommandRefusal(NamedTuple):
    """What is wrong with a command, and what to do instead."""

    message: str
    fix: str


def refusal(command: Command, known: OpenIncidents) -> CommandRefusal | None:
    """Return why `command` has no meaning among the incidents that are `known`; None where it has one."""
    incident = known.get(command.incident_id)
    if command.action == Action.WATCH:
        if command.incident_id in known.ignored:
            return None
        return CommandRefusal("is not ignored", "`stream-infer events --open` lists what is ignored")
    if incident is None and command.incident_id in known.ignored:
        return CommandRefusal("is ignored, and over", "watch it again with `stream-infer incident watch ID`")
    if incident is None and known.ended_ms(command.incident_id) is not None:
        return CommandRefusal("is over", "`stream-infer events --open` lists the open ones")
    if incident is None:
        return CommandRefusal(
            "is no incident of this pipeline", "`stream-infer events --open` lists the open ones"
        )
    if command.action == Action.SILENCE and (command.until_ms or 0) <= command.time_ms:
        return CommandRefusal("ends before it begins", "name an end that is to come")
    if command.action == Action.ACCEPT:
        return _unacceptable(incident)
    return _not_to_be_ignored(incident) if command.action == Action.IGNORE else None


def _unacceptable(incident: OpenIncident) -> CommandRefusal | None:
    if incident.detector == LIMIT:
        fix = f"set another limit in [monitoring.limits], or {_SILENCE_IT}"
        return CommandRefusal("is over a limit of the settings", fix)
    if not incident.detector:
        return CommandRefusal("has no level that could become normal", _SILENCE_IT)
    return None


def _not_to_be_ignored(incident: OpenIncident) -> CommandRefusal | None:
    if incident.kind in {"drift", "quality"} and incident.detector:
        return None
    return CommandRefusal("is no signal of the data that could be ignored", _SILENCE_IT)
