"""How far each feature and output is from the training data, over time and now."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from stream_infer.dashboard.column_windows import ColumnWindow, ColumnWindows
from stream_infer.dashboard.time_buckets import SPANS, Resolution, TimeBuckets
from stream_infer.drift.frames import ColumnSummary, ObservationFrame
from stream_infer.drift.reference import Reference, ReferenceColumn

ColumnName = tuple[str, str]
"""Kind and name, as in an observation frame."""
ReferenceOf = Callable[[str], Reference | None]
"""The reference of the package with a digest."""

MOST_COLUMNS = 1_000
_MOST_MODELS = 4
_FURTHEST = 1e6


@dataclass(frozen=True, slots=True)
class ColumnNow:
    """The newest rows of one column, and what it was in training; `records` is behind nulls."""

    name: ColumnName
    summary: ColumnSummary
    records: int
    reference: ReferenceColumn | None
    departure: float | None


def departure_of(summary: ColumnSummary, reference: ReferenceColumn | None) -> float | None:
    """Return how far a sample is from the training data; None where that cannot be said.

    Of numbers, the difference of means in standard deviations of the training data; of categories, half the
    sum of the differences of shares (total variation, 0 to 1).
    """
    if reference is None or not summary.count:
        return None
    if reference.edges:
        if reference.stddev > 0:
            return max(-_FURTHEST, min(_FURTHEST, (summary.mean - reference.mean) / reference.stddev))
        return (
            0.0 if summary.mean == reference.mean else math.copysign(_FURTHEST, summary.mean - reference.mean)
        )
    return share_distance(summary, reference)


def share_distance(summary: ColumnSummary, reference: ReferenceColumn | None) -> float | None:
    """Return the total variation distance of the bins from the reference's; None where bins differ."""
    if reference is None or not summary.count or len(summary.bins) != len(reference.shares):
        return None
    pairs = zip(summary.bins, reference.shares, strict=True)
    return sum(abs(count / summary.count - share) for count, share in pairs) / 2


class ColumnHistory:
    """The columns of the models that answer: their newest rows, and strips of departures over time."""

    def __init__(self, reference_of: ReferenceOf) -> None:
        self._reference_of = reference_of
        self._references: dict[str, Reference | None] = {}
        self._windows: OrderedDict[str, ColumnWindows] = OrderedDict()
        self._strips: dict[ColumnName, Mapping[Resolution, TimeBuckets]] = {}
        self.left_out = 0

    def take(self, frame: ObservationFrame, written_ms: int) -> None:
        """Take a frame that was written at `written_ms`."""
        if frame.digest not in self._windows:
            self._windows[frame.digest] = ColumnWindows()
            self._references[frame.digest] = self._reference_of(frame.digest)
        self._windows.move_to_end(frame.digest)
        while len(self._windows) > _MOST_MODELS:
            forgotten, _ = self._windows.popitem(last=False)
            del self._references[forgotten]
        closed = self._windows[frame.digest].take(frame, written_ms)
        if closed is not None:
            self._note(closed)

    def _note(self, closed: ColumnWindow) -> None:
        for one in self._columns(closed):
            if one.departure is None:
                continue
            if one.name not in self._strips:
                if len(self._strips) >= MOST_COLUMNS:
                    self.left_out += 1
                    continue
                self._strips[one.name] = {span: TimeBuckets(span, 2) for span in SPANS}
            for strip in self._strips[one.name].values():
                strip.note(closed.closed_ms, (one.departure, 1.0))

    def now(self, digest: str | None = None) -> tuple[ColumnWindow | None, list[ColumnNow]]:
        """Return the newest rows of a model, and their columns; without `digest`, of the newest model."""
        if digest not in self._windows:
            digest = next(reversed(self._windows), None)
        window = None if digest is None else self._windows[digest].now()
        return window, [] if window is None else list(self._columns(window))[:MOST_COLUMNS]

    def has_reference(self, digest: str) -> bool:
        """Whether the training data of a model are known here."""
        return self._references.get(digest) is not None

    def strip(self, name: ColumnName, span: Resolution, now_ms: int) -> tuple[list[int], list[float]]:
        """Return times (ms) and mean departures of a column."""
        strips = self._strips.get(name)
        if strips is None:
            return [], []
        starts, values = strips[span].points(now_ms)
        return starts.tolist(), (values[:, 0] / values[:, 1].clip(min=1)).round(4).tolist()

    def _columns(self, window: ColumnWindow) -> Iterator[ColumnNow]:
        reference = self._references.get(window.frame.digest)
        for summary in window.frame.signals:
            name = summary.kind, summary.name
            column = None if reference is None else reference.column(*name)
            departure = departure_of(summary, column)
            yield ColumnNow(name, summary, window.frame.records, column, departure)
