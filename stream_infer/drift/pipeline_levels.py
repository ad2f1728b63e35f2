"""The levels of a whole pipeline: the frames of all partitions together, judged by records and by time.

Exact counts need no sampled rows, so a stream of dead letters alone is judged like any other. There are two
windows at a time: a long one of `records` records (or of `max_age_ms`, where events are few), and a short one
that is judged after `look_ms`, so that total failure is seen at once. Time is that of the frames' records.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_infer.drift.alarms import Alarm, Place, WindowResult
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.baseline import BaselineLearner, LearnedBaseline
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.levels import Level, LevelLimits, levels
from stream_infer.drift.pipeline_window import PipelineWindow, grown_window
from stream_infer.drift.rates import LEVEL_ZSCORE
from stream_infer.drift.reference import Reference
from stream_infer.drift.windows import PIPELINE

LEVEL, LIMIT = "Level", "Limit"
"""The detectors: a comparison with the reference, and with a limit of the user."""
_REMEMBERED, _ENOUGH, _CONSTANT = 20, 3, 3
_BACK = 0.5
"""A level that was exceeded is left when its z-score is less than this part of the alarm's, or is none."""


@dataclass(frozen=True, slots=True)
class LevelPolicy:
    """When windows over the pipeline are judged, and the limits of the user.

    A short window has at least `look_records` records.
    """

    records: int = 1_000
    max_age_ms: int = 86_400_000
    look_records: int = 20
    look_ms: int = 60_000
    limits: LevelLimits = field(default_factory=LevelLimits)


class PipelineLevels:
    """The levels of one model over all partitions."""

    def __init__(self, policy: LevelPolicy, reference: Reference | None, baseline: BaselineLearner) -> None:
        self._policy = policy
        self._reference = reference
        self._baseline = baseline
        self._windows = 0
        self._seen_ms = 0
        self._known: LearnedBaseline | None = None  # what was known when the long window began
        self._short: PipelineWindow | None = None
        self._long: PipelineWindow | None = None
        self._exceeded: dict[Signal, float] = {}
        self._constant: dict[Signal, int] = {}
        self._history: dict[Signal, list[float]] = {}

    @property
    def seen_ms(self) -> int:
        """When the newest frame arrived."""
        return self._seen_ms

    def take(self, frame: ObservationFrame, now_ms: int) -> Iterator[WindowResult]:
        """Take a frame of any partition; yield the windows that are judged with it."""
        self._seen_ms = now_ms
        if self._long is None or self._known is None:
            self._known = self._baseline.so_far
        self._short, self._long = (
            grown_window(window, frame, PIPELINE, now_ms) for window in (self._short, self._long)
        )
        policy, short, long = self._policy, self._short, self._long
        if long.frame.records >= policy.records or now_ms - long.opened_ms >= policy.max_age_ms:
            self._long = None
            self._windows += 1
            yield self._judged(long, closed=True)
        if now_ms - short.opened_ms >= policy.look_ms and short.frame.records >= policy.look_records:
            self._short = None
            yield self._judged(short, closed=False)

    def accept(self, columns: Collection[tuple[str, str]]) -> None:
        """Raise no alarm about the levels of columns before they were left again."""
        for signal, values in self._history.items():
            if signal[:2] in columns and values[-1]:
                self._exceeded.setdefault(signal, values[-1])

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {
            "windows": self._windows,
            "seen_ms": self._seen_ms,
            "exceeded": [[*signal, zscore] for signal, zscore in self._exceeded.items()],
            "constant": [[*signal, windows] for signal, windows in self._constant.items()],
            "history": [[*signal, values] for signal, values in self._history.items()],
            "short": None if self._short is None else self._short.to_document(),
            "long": None if self._long is None else self._long.to_document(),
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take over the state that `to_document` wrote."""
        self._windows, self._seen_ms = document["windows"], document["seen_ms"]
        self._exceeded, self._history, self._constant = (
            {Signal(kind, name, Aspect(aspect)): value for kind, name, aspect, value in document.get(key, ())}
            for key in ("exceeded", "history", "constant")
        )
        self._short, self._long = (
            None if document[key] is None else PipelineWindow.from_document(document[key])
            for key in ("short", "long")
        )

    def _judged(self, window: PipelineWindow, *, closed: bool) -> WindowResult:
        """Return the alarms of a window; only a long one that is closed says that a signal is back."""
        places = window.sorted_places()
        found = list(
            levels(window.frame, self._reference, self._baseline.learned or self._known, self._policy.limits)
        )
        if closed:
            self._constant = {
                level.signal: self._constant.get(level.signal, 0) + 1
                for level in found
                if level.exceeded and level.signal.aspect is Aspect.SPREAD
            }
        alarms, candidates = self._alarms(found, window.frame, places)
        values = {level.signal: level.zscore for level in found} if closed else {}
        self._leave(values)
        for signal, zscore in values.items():
            self._history[signal] = [*self._history.get(signal, [])[-_REMEMBERED + 1 :], round(zscore, 3)]
        return WindowResult(self._windows, window.frame, alarms, values, candidates, places)

    def _alarms(
        self, found: Sequence[Level], frame: ObservationFrame, places: tuple[Place, ...]
    ) -> tuple[Sequence[Alarm], Sequence[Alarm]]:
        """Return an alarm for each level that is exceeded now, not before, and the means of their columns."""

        def alarm(level: Level) -> Alarm:
            before, spread = _before(self._history.get(level.signal, ()))
            return Alarm(
                level.signal,
                LIMIT if level.limited else LEVEL,
                {},
                level.value,
                level.allowed,
                level.zscore,
                before,
                frame.first_offset,
                places,
                spread,
                frame.first_time_ms,
            )

        new = [
            level
            for level in found
            if level.exceeded and level.signal not in self._exceeded and self._stands_out(level)
        ]
        self._exceeded |= {level.signal: level.zscore for level in new}
        means = {level.signal._replace(aspect=Aspect.MEAN) for level in new}
        return [alarm(one) for one in new], [alarm(one) for one in found if one.signal in means]

    def _stands_out(self, level: Level) -> bool:
        """Whether a level is beyond those of the windows before, where values are dependent or in runs.

        A column is constant when it is so for some windows: a run of equal values is none.
        """
        if level.signal.aspect is Aspect.SPREAD:
            return self._constant.get(level.signal, 0) >= _CONSTANT
        before, spread = _before(self._history.get(level.signal, ()))
        return level.limited or abs(level.zscore - before) >= LEVEL_ZSCORE * spread

    def _leave(self, values: Mapping[Signal, float]) -> None:
        for signal, zscore in list(self._exceeded.items()):
            if signal in values and abs(values[signal]) < _BACK * abs(zscore):
                del self._exceeded[signal]


def _before(values: Sequence[float]) -> tuple[float, float]:
    """Return median and standard deviation of the windows before; of few, those of the reference."""
    if len(values) < _ENOUGH:
        return 0.0, 1.0
    return statistics.median(values), max(1.0, statistics.pstdev(values))
