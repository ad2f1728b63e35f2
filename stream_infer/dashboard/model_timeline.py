"""The timeline of a pipeline's model: deployments that were asked for, and what workers made of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_ENTRIES = 200
_TYPES = frozenset(
    {"model.activated", "model.rejected", "model.rolled_back", "offsets.lost", "group.begun", "liveness"}
)


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One moment (Unix ms): an event of a worker, or a deployment that somebody asked for."""

    time_ms: int
    type: str
    severity: str
    sentence: str
    ranges: Sequence[Mapping[str, Any]] = ()


class ModelTimeline:
    """The newest entries, and the deployment that is desired; `asked` counts deployments."""

    def __init__(self) -> None:
        self._entries: deque[TimelineEntry] = deque(maxlen=MOST_ENTRIES)
        self.desired: str | None = None
        self.asked = 0
        self.serving_digest: str | None = None

    def take(self, event: Mapping[str, Any]) -> None:
        """Take a monitoring event; one of another type is left out."""
        if event["type"] not in _TYPES:
            return
        if event["type"] == "model.activated":
            self.serving_digest = event["model_digest"]
        sentence = event["summary"]
        change = event["model"]
        if change is not None and change["reason"] and change["reason"] not in sentence:
            sentence = f"{sentence}: {change['reason']}"
        if change is not None and change["reason_code"]:
            sentence = f"{sentence} ({change['reason_code']})"
        self._entries.append(
            TimelineEntry(event["time"], event["type"], event["severity"], sentence, event["ranges"])
        )

    def ask(self, time_ms: int, sentence: str) -> None:
        """Note a deployment that was asked for."""
        self.desired = sentence
        self.asked += 1
        self._entries.append(TimelineEntry(time_ms, "model.desired", "info", sentence))

    def newest_first(self) -> Sequence[TimelineEntry]:
        """Return the entries, the newest first."""
        return sorted(self._entries, key=lambda one: -one.time_ms)
