"""The books of the demo: pages that were sent, and answers and events that were read from the topics."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_RATE_OVER_S = 2.0
_MANY_LABELS = 100

Event = Mapping[str, Any]
"""A monitoring event, as `app.monitoring_events` gives it."""


class Accuracy(NamedTuple):
    """The published accuracy of one model in one window: value, number of labels, their median delay."""

    value: float
    labels: int
    delay_ms: int


@dataclass(slots=True)
class Tally:
    """Counts and events. The sending thread writes `sent` and adds to `truth`, the reading thread the rest.

    `accuracies` are by model version; `first` and `last` are the first and last offset that a model version
    has answered, by partition.
    """

    sent: int = 0
    predicted: int = 0
    doubled: int = 0
    labelled: int = 0
    dead_letters: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    truth: dict[str, bool] = field(default_factory=dict)
    first: dict[tuple[str, int], int] = field(default_factory=dict)
    last: dict[tuple[str, int], int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    accuracies: dict[str, list[Accuracy]] = field(default_factory=dict)
    serving: str = ""
    _marks: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def answered(self) -> int:
        """The number of pages with a prediction or a dead letter."""
        return self.predicted + self.dead_letters.total()

    @property
    def unanswered(self) -> int:
        """The number of pages without an answer."""
        return self.sent - self.answered

    def rate(self) -> float:
        """Return the answers per second over the last two seconds."""
        now = time.monotonic()
        self._marks.append((now, self.answered))
        while now - self._marks[0][0] > _RATE_OVER_S:
            self._marks.popleft()
        since, before = self._marks[0]
        return (self.answered - before) / (now - since) if now > since else 0.0

    def take(self, event: Event) -> None:
        """Note a monitoring event. Of the metrics, only accuracy is kept."""
        performance = event["performance"]
        if performance is None:
            self.events.append(event)
        elif performance["metric"] == "accuracy":
            delay_ms = performance["label_delay_p50_ms"] or 0
            measured = Accuracy(performance["value"], performance["labelled"], delay_ms)
            self.accuracies.setdefault(event["model_version"], []).append(measured)

    def accuracy(self, version: str, *, least_labels: int) -> float | None:
        """Return the accuracy of a model over all windows; None with fewer than `least_labels` labels."""
        measured = self.accuracies.get(version, [])
        labels = sum(one.labels for one in measured)
        return sum(one.value * one.labels for one in measured) / labels if labels >= least_labels else None

    def newest_accuracy(self, version: str, *, below: float) -> float | None:
        """Return the accuracy of a model in its newest window of 100 labels, if it is `below` that."""
        windows = [one for one in self.accuracies.get(version, []) if one.labels >= _MANY_LABELS]
        return windows[-1].value if windows and windows[-1].value < below else None

    def find(self, kind: str, **fields: object) -> Event | None:
        """Return the first event of type `kind` with `fields`; `drift__feature` is a field of `drift`."""
        return next((e for e in self.events if e["type"] == kind and _matches(e, fields)), None)


def _matches(event: Event, fields: Mapping[str, object]) -> bool:
    return all(_field(event, path.split("__")) == wanted for path, wanted in fields.items())


def _field(event: Event, path: list[str]) -> object:
    value: Any = event
    for name in path:
        value = None if value is None else value[name]
    return value
