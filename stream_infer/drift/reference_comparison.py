"""The comparison of a stream with the training data of its model, over windows with enough rows together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stream_infer.drift import distance
from stream_infer.drift.alarms import Alarm
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.distance import Distance
from stream_infer.drift.frame_documents import frame_from_document, frame_to_document
from stream_infer.drift.frames import ObservationFrame, merge_frames
from stream_infer.drift.reference import Reference

_MIN_ROWS = distance.MIN_SAMPLE_ROWS * 1.2  # nulls and rejected rows take their part
_MIN_WINDOWS = 6
_THRESHOLD_VALUE = 6.0
"""The value of a signal whose distance is exactly at its threshold, to compare with z-scores."""
_SPREAD = 3.0
"""A distance is never below 0, and without drift below half of the threshold."""


class ReferenceComparison:
    """Merges windows until they hold enough rows, then measures the distances that `measures` names."""

    def __init__(self, reference: Reference | None, measures: Sequence[str]) -> None:
        self._reference = reference
        self._measures = measures
        self._pool: ObservationFrame | None = None
        self._far: set[tuple[str, str]] = set()
        self._windows = 0

    def add(
        self, window: ObservationFrame, *, chance: float, inflation: Callable[[tuple[str, str]], float]
    ) -> Iterator[tuple[Signal, float, Alarm | None]]:
        """Take the next window; yield each distance that is measured with it, and the alarm it raises.

        A column alarms when it becomes far from the reference, once: it may stay so for good. `chance` is
        that of an alarm without drift. `inflation` is the number of values of a column for each one
        that counts: values that depend on each other say less. It is known after some windows, so the first
        comparison waits for as many.
        """
        if self._reference is None or not self._measures:
            return
        self._windows += 1
        self._pool = window if self._pool is None else merge_frames(self._pool, window)
        if self._pool.sampled < _MIN_ROWS or self._windows < _MIN_WINDOWS:
            return
        pool, self._pool = self._pool, None
        for summary in pool.signals:
            column = self._reference.column(summary.kind, summary.name)
            for measure in self._measures if column is not None else ():
                found = getattr(distance, measure.lower())(
                    summary, column, chance=chance, inflation=inflation((summary.kind, summary.name))
                )
                if found is not None:
                    signal = Signal(summary.kind, summary.name, Aspect.DISTRIBUTION)
                    yield self._result(signal, found, pool)

    def accept(self, column: tuple[str, str]) -> None:
        """Raise no alarm about a column before it was near the reference again."""
        kind, name = column
        self._far |= {(f"{kind}/{measure}", name) for measure in self._measures}

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {
            "pool": None if self._pool is None else frame_to_document(self._pool),
            "far": sorted(list(key) for key in self._far),
            "windows": self._windows,
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take over the state that `to_document` wrote."""
        pool = document["pool"]
        self._pool = None if pool is None else frame_from_document(pool)
        self._far = {(kind, name) for kind, name in document["far"]}
        self._windows = document.get("windows", _MIN_WINDOWS)

    def _result(
        self, signal: Signal, found: Distance, pool: ObservationFrame
    ) -> tuple[Signal, float, Alarm | None]:
        value = _THRESHOLD_VALUE * found.statistic / found.threshold
        key = (f"{signal.kind}/{found.detector}", signal.name)
        if key in self._far:
            if value < _THRESHOLD_VALUE / 2:
                self._far.discard(key)
            return signal, value, None
        if not found.exceeded:
            return signal, value, None
        self._far.add(key)
        alarm = Alarm(
            signal,
            found.detector,
            found.parameters,
            found.statistic,
            found.threshold,
            value,
            0.0,
            pool.window_first_offset,
            spread=_SPREAD,
            since_ms=pool.first_time_ms,
        )
        return signal, value, alarm
