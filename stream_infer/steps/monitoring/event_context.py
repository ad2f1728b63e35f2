"""The baselines that an incident is described with: the package's reference, or a pipeline's first events."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stream_infer.drift.aspects import RECORDS, Signal
from stream_infer.drift.baseline import LearnedBaseline
from stream_infer.drift.frames import OUTPUT_CATEGORY, ColumnSummary, ObservationFrame
from stream_infer.drift.reference import Reference, ReferenceColumn


@dataclass(frozen=True, slots=True)
class EventContext:
    """The reference of the model, and what the pipeline's first events teach; each may be missing."""

    reference: Reference | None
    learned: LearnedBaseline | None

    def column(self, signal: Signal) -> ReferenceColumn | None:
        """Return the column of `signal` in the reference."""
        if self.reference is None or signal.kind == RECORDS:
            return None
        column = self.reference.column(signal.kind, signal.name)
        # Labels are counted by category only: without shares there is nothing to say.
        return None if column is not None and signal.kind == OUTPUT_CATEGORY and not column.shares else column

    def first_windows(self, signal: Signal) -> ColumnSummary | None:
        """Return the summary of the column of `signal` in the first windows."""
        return None if self.learned is None else self.learned.columns.get((signal.kind, signal.name))

    def first_records(self, signal: Signal) -> int:
        """Return the number of first events of the pipeline that `signal` is compared with."""
        first = self.first_windows(signal)
        if self.learned is None:
            return 0
        return self.learned.frame.records if first is None else self.learned.rows(first)


def summary_of(frame: ObservationFrame, signal: Signal) -> ColumnSummary | None:
    """Return the summary of the column of `signal` in `frame`."""
    return next((s for s in frame.signals if (s.kind, s.name) == (signal.kind, signal.name)), None)


def stddev(summary: ColumnSummary | None) -> float | None:
    """Return the standard deviation of a sample, in the units of its column."""
    return None if summary is None else math.sqrt(summary.variance)
