"""The open incidents as text for the person on call, and as documents for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stream_infer.common.printable import printable
from stream_infer.steps.monitoring.event_time import format_time
from stream_infer.steps.monitoring.incident_command import Command
from stream_infer.steps.monitoring.open_incidents import OpenIncident, OpenIncidents

_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))
_INDENT = "    "


def open_incidents_text(pipeline: str, known: OpenIncidents, now_ms: int) -> Iterator[str]:
    """Yield lines: how many are open, each of them, what is ignored, and whether the monitor lives."""
    count = len(known.newest_first)
    yield printable(
        f"{pipeline}: {count or 'no'} open incident{'' if count == 1 else 's'}; {_life(known, now_ms)}"
    )
    for one in known.newest_first:
        yield ""
        yield from (printable(line) for line in _lines(one, now_ms))
    if known.ignored:
        yield ""
        yield "ignored until `stream-infer incident watch ID`:"
    for incident_id, ignored in known.ignored.items():
        yield printable(f"{_INDENT}{incident_id}  {ignored.subject}, {_by(ignored.command)}")


def incident_document(incident: OpenIncident, now_ms: int) -> Mapping[str, Any]:
    """Return an incident as JSON values; times are Unix milliseconds."""
    return {
        "id": incident.id,
        "kind": incident.kind,
        "severity": incident.severity,
        "since": incident.since_ms,
        "status": incident.status(now_ms),
        "state": incident.state,
        "members": incident.members,
        "summary": incident.summary,
        "newest": incident.newest,
        "acknowledged_by": None if incident.acknowledged is None else incident.acknowledged.by,
        "silenced_until": None if incident.silenced is None else incident.silenced.until_ms,
        "model_version": incident.version or None,
    }


def duration_text(milliseconds: int) -> str:
    """Return a time span in the largest unit that has two of it."""
    seconds = max(0, milliseconds) / 1_000
    size, unit = next((one for one in _UNITS if seconds >= 2 * one[0]), _UNITS[-1])
    return f"{seconds / size:.0f} {unit}"


def _lines(one: OpenIncident, now_ms: int) -> Iterator[str]:
    age = duration_text(now_ms - one.since_ms)
    yield (
        f"{one.id}  {one.severity}  {one.kind}  {one.status(now_ms)}  "
        f"since {format_time(one.since_ms)} ({age})"
    )
    yield _INDENT + one.summary
    if one.newest != one.summary:
        yield f"{_INDENT}newest: {one.newest}"
    if len(one.members) > 1:
        yield f"{_INDENT}members: {', '.join(one.members)}"
    if one.acknowledged is not None:
        yield f"{_INDENT}acknowledged {_by(one.acknowledged)}"
    if one.silenced is not None and one.is_silenced(now_ms):
        yield f"{_INDENT}silenced until {format_time(one.silenced.until_ms or 0)} {_by(one.silenced)}"


def _by(command: Command) -> str:
    reason = f": {command.reason}" if command.reason else ""
    return f"by {command.by} at {format_time(command.time_ms)}{reason}"


def _life(known: OpenIncidents, now_ms: int) -> str:
    if not known.heartbeat_ms:
        return "no heartbeat of a monitor: this list may be old"
    return f"last heartbeat of the monitor {duration_text(now_ms - known.heartbeat_ms)} ago"
