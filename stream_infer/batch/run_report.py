"""The numbers of a report: counts, each column against the training data, and the metrics of true labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from stream_infer.batch.journal import JournalEntry
from stream_infer.batch.success import Counts, counts_of
from stream_infer.drift.distance import Distance, ks, psi
from stream_infer.drift.frame_documents import frame_from_document
from stream_infer.drift.frames import ColumnSummary, ObservationFrame, merge_frames
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.steps.scoring.truth import LabelledSums, merge_truth, truth_from_document

CHANCE = 1e-3
"""The chance that a column without drift is said to differ."""


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """One feature or output: its summary, the reference, and how far apart they are, if that is known."""

    summary: ColumnSummary
    reference: ReferenceColumn | None
    psi: Distance | None
    ks: Distance | None

    @property
    def differs(self) -> bool | None:
        """Whether the column differs from the training data; None where too little is known."""
        found = [one.exceeded for one in (self.psi, self.ks) if one is not None]
        return any(found) if found else None

    @property
    def unseen(self) -> int | None:
        """The sampled rows whose category the training data does not have; None for numbers."""
        categories = self.reference.categories if self.reference else ()
        return self.summary.bins[-1] if categories and self.summary.bins else None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a report tells. Counts, nulls and non-finite are of all rows; the rest of `sampled` rows."""

    model: tuple[str, str, str]
    scored_at_ms: int
    counts: Counts
    sampled: int
    columns: Sequence[ColumnReport]
    truth: LabelledSums | None
    classes: Sequence[str]


def merged_frame(entries: Sequence[JournalEntry]) -> ObservationFrame | None:
    """Return the observation frames of all batches as one."""
    frames = [frame_from_document(one) for entry in entries for one in entry.summary.get("frames", ())]
    return reduce(merge_frames, frames) if frames else None


def merged_truth(entries: Sequence[JournalEntry]) -> LabelledSums | None:
    """Return the sums over true labels of all batches; None without labels."""
    found = [truth_from_document(entry.summary["truth"]) for entry in entries if "truth" in entry.summary]
    return reduce(merge_truth, found) if found else None


def make_report(
    model: tuple[str, str, str],
    scored_at_ms: int,
    entries: Sequence[JournalEntry],
    reference: Reference | None,
    classes: Sequence[str],
) -> RunReport:
    """Return the report of a run of `model` (name, version, digest)."""
    frame = merged_frame(entries)
    columns = [] if frame is None else [_column(summary, reference) for summary in frame.signals]
    return RunReport(
        model=model,
        scored_at_ms=scored_at_ms,
        counts=counts_of(entries),
        sampled=0 if frame is None else frame.sampled,
        columns=columns,
        truth=merged_truth(entries),
        classes=classes,
    )


def drifted(report: RunReport) -> Mapping[bool | None, int]:
    """Return how many columns differ, do not, and cannot be compared."""
    verdicts = [column.differs for column in report.columns]
    return {verdict: verdicts.count(verdict) for verdict in (True, False, None)}


def _column(summary: ColumnSummary, reference: Reference | None) -> ColumnReport:
    known = None if reference is None else reference.column(summary.kind, summary.name)
    if known is None:
        return ColumnReport(summary, None, None, None)
    return ColumnReport(summary, known, psi(summary, known, chance=CHANCE), ks(summary, known, chance=CHANCE))
