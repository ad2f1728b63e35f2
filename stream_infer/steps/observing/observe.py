"""Observation frames of a scored batch: one for each source partition and window of offsets in it.

Counted in columns, all groups of a batch at once. A window is a range of offsets and the sample a hash of
partition and offset, so the merged frames of a window do not depend on how a stream was cut into batches, by
which worker, or how fast. What is summarised is in `layout`; detecting drift is up to the monitor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from stream_infer.avro.encode import Encoder
from stream_infer.drift.frames import FrameTables, Signals
from stream_infer.drift.reference import Reference
from stream_infer.flow.records import Batch, Output
from stream_infer.models.load import Model
from stream_infer.steps.observing.backlog import observations
from stream_infer.steps.observing.frame_record import columns_of
from stream_infer.steps.observing.groups import RowGroups, group_rows, sample_rows
from stream_infer.steps.observing.layout import NO_SIGNALS, Layout, make_layout
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.observing.summaries import SummaryTables, summarise
from stream_infer.steps.rows import Rows


@dataclass(frozen=True, slots=True)
class ObserveSettings:
    """`window_offsets` offsets make a window, of which one row in 2 ** `sample_bits` is sampled.

    The defaults put about 200 sampled rows into a window. They belong to the pipeline: after a change, open
    windows are cut anew.
    """

    window_offsets: int = 1600
    sample_bits: int = 3


@dataclass(frozen=True, slots=True)
class ObservedBatch:
    """The frames of a batch, as records. `failure` says why they have no summaries; None when they have."""

    output: Output
    failure: str | None


class Observe:
    """Makes the frames of scored batches. Keeps nothing but the layout of the serving model."""

    def __init__(
        self,
        pipeline: str,
        encoder: Encoder,
        reference: Callable[[Model], Reference | None],
        settings: ObserveSettings | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._encoder = encoder
        self._reference = reference
        self._settings = settings or ObserveSettings()
        self._layout: tuple[str, Layout] | None = None

    def __call__(self, batch: Batch, model: Model, scored: ScoredRows) -> ObservedBatch:
        """Return the frames of `batch`, one record each, all of one partition under one key."""
        frames, failure = self._frames(batch, model, scored)
        values = self._encoder.encode(columns_of(self._pipeline, frames)) if len(frames) else []
        return ObservedBatch(observations(self._pipeline, frames.sources, values), failure)

    def frames(self, batch: Batch, model: Model, scored: ScoredRows) -> FrameTables:
        """Return the frames of `batch`, in order of partition and window."""
        return self._frames(batch, model, scored)[0]

    def _frames(self, batch: Batch, model: Model, scored: ScoredRows) -> tuple[FrameTables, str | None]:
        groups = group_rows(batch, self._settings.window_offsets)
        sampled = sample_rows(groups, scored.readable, self._settings.sample_bits)
        rejected = np.asarray([reject.row for reject in scored.rejected], np.intp)
        signals, tables, failure = self._summaries(model, scored, groups, sampled)
        frames = FrameTables(
            version=model.manifest.version,
            digest=model.digest,
            sources=[batch.partitions[place] for place in groups.place.tolist()],
            heads={
                **groups.heads,
                "dead_letters": np.bincount(groups.of_row[rejected], minlength=groups.count),
                "sampled": np.bincount(groups.of_row[scored.readable[sampled]], minlength=groups.count),
            },
            signals=signals,
            counts=tables.counts,
            moments=tables.moments,
            bins=tables.bins,
        )
        return frames, failure

    def _summaries(
        self, model: Model, scored: ScoredRows, groups: RowGroups, sampled: Rows
    ) -> tuple[Signals, SummaryTables, str | None]:
        """Return the summaries of each group; none, and the reason, when they cannot be made."""
        try:
            layout = self._layout_of(model)
            with np.errstate(over="ignore", invalid="ignore"):
                tables = summarise(layout, scored, groups, sampled)
        except Exception as failure:  # noqa: BLE001 - monitoring can never stop scoring
            reason = f"scored rows cannot be summarised: {type(failure).__name__}: {failure}"
            return NO_SIGNALS, SummaryTables.empty(groups.count, NO_SIGNALS), reason
        return layout.signals, tables, None

    def _layout_of(self, model: Model) -> Layout:
        if self._layout is None or self._layout[0] != model.digest:
            self._layout = model.digest, make_layout(model.manifest, self._reference(model))
        return self._layout[1]
