"""What the first windows of a stream teach: the baseline of columns that have no reference."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_infer.drift.frame_documents import frame_from_document, frame_to_document
from stream_infer.drift.frames import ColumnSummary, ObservationFrame, merge_frames

_MEAN_MARGIN = 1.5
_SPREAD_MARGIN = 2.0
"""Few windows make uncertain factors: these raise them."""


@dataclass(frozen=True, slots=True)
class LearnedBaseline:
    """The first windows merged, and how much they differ beyond chance.

    `inflation` is by (kind, name): factors on the standard errors of the mean and of the log variance that
    independent normal values would have. Heavy tails make them large.
    """

    frame: ObservationFrame
    inflation: Mapping[tuple[str, str], tuple[float, float]]

    @property
    def columns(self) -> Mapping[tuple[str, str], ColumnSummary]:
        """The summaries of the first windows by kind and name."""
        return {(summary.kind, summary.name): summary for summary in self.frame.signals}


class BaselineLearner:
    """Collects the first `windows` windows of a stream, then keeps the baseline that they make."""

    def __init__(self, windows: int) -> None:
        self._windows = windows
        self._first: list[ObservationFrame] = []
        self._learned: LearnedBaseline | None = None

    @property
    def learned(self) -> LearnedBaseline | None:
        """The baseline; None while first windows are still collected."""
        return self._learned

    def add(self, window: ObservationFrame) -> None:
        """Take the next window; ignored once the baseline is complete."""
        if self._learned is None:
            self._first.append(window)
            if len(self._first) >= self._windows:
                self._learned, self._first = learn_baseline(self._first), []

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {
            "first": [frame_to_document(window) for window in self._first],
            "learned": None if self._learned is None else _baseline_to_document(self._learned),
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take over the state that `to_document` wrote."""
        self._first = [frame_from_document(window) for window in document["first"]]
        learned = document["learned"]
        self._learned = None if learned is None else _baseline_from_document(learned)


def learn_baseline(windows: Sequence[ObservationFrame]) -> LearnedBaseline:
    """Return the baseline that the first windows of a stream make."""
    merged = windows[0]
    for window in windows[1:]:
        merged = merge_frames(merged, window)
    inflation = {}
    for whole in merged.signals:
        key = (whole.kind, whole.name)
        parts = [
            s for window in windows for s in window.signals if (s.kind, s.name) == key and s.variance > 0
        ]
        if len(parts) > 1:
            means = statistics.stdev(s.mean / math.sqrt(whole.variance / s.count) for s in parts)
            spreads = statistics.stdev(math.log(s.variance) / math.sqrt(2 / (s.count - 1)) for s in parts)
            inflation[key] = (max(1.0, _MEAN_MARGIN * means), max(1.0, _SPREAD_MARGIN * spreads))
    return LearnedBaseline(merged, inflation)


def _baseline_to_document(baseline: LearnedBaseline) -> dict[str, object]:
    beyond = [[*key, *factors] for key, factors in baseline.inflation.items()]
    return {"frame": frame_to_document(baseline.frame), "beyond": beyond}


def _baseline_from_document(document: Mapping[str, Any]) -> LearnedBaseline:
    inflation = {(kind, name): (mean, spread) for kind, name, mean, spread in document["beyond"]}
    return LearnedBaseline(frame_from_document(document["frame"]), inflation)
