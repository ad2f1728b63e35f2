"""A monitoring event as a sentence for people; times, and texts of others, wherever people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_infer.common.printable import printable
from stream_infer.steps.monitoring.event_time import format_time

_RANGES_SHOWN = 4


def event_text(event: Mapping[str, Any]) -> str:
    """Return when, how bad, what, and its summary, which says how much, since when and under which model.

    Then who saw it, where else it is seen, and the incident's id.
    """
    details = "; ".join(_details(event))
    told = f"{format_time(event['time'])}  {event['severity']:<8} {event['type']:<18} {event['summary']}"
    return printable(f"{told} [{details}]" if details else told)


def _details(event: Mapping[str, Any]) -> list[str]:
    drift, performance = event["drift"], event["performance"]
    found = []
    if drift is not None:
        found.append(_seen_by(drift))
    if performance is not None:
        found.append(
            f"{performance['metric']} {_from_to(performance['reference_value'], performance['value'])}"
        )
    if not found:
        return []
    if len(event["ranges"]) > 1:
        found.append(_ranges(event["ranges"]))
    if event["incident_id"] is not None:
        found.append(f"incident {event['incident_id']}")
    return found


def _seen_by(drift: Mapping[str, Any]) -> str:
    statistic, threshold = drift["statistic"], drift["threshold"]
    if statistic is None or threshold is None:
        return str(drift["detector"])
    return f"{drift['detector']} {statistic:.4g} over {threshold:.4g}"


def _from_to(before: float | None, now: float) -> str:
    return f"{now:.4g}" if before is None else f"from {before:.4g} to {now:.4g}"


def _ranges(ranges: list[Mapping[str, Any]]) -> str:
    shown = [
        f"{r['topic']}/{r['partition']} {r['first_offset']}.."
        f"{'' if r['last_offset'] is None else r['last_offset']}"
        for r in ranges[:_RANGES_SHOWN]
    ]
    more = len(ranges) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
