"""What is counted of one model's inputs and outputs: its columns, bins and limits, ready for whole batches.

Counting is in `observe`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_CATEGORY,
    OUTPUT_NUMBER,
    Floats,
    Signals,
)
from stream_infer.drift.reference import LABEL, Reference
from stream_infer.models.manifest import Manifest

HUGE = 1e100
"""A number from here on counts as not finite: its square, summed over a window, would not be."""

NO_SIGNALS = Signals((), (), ())

_TEXT = frozenset({"string", "enum"})


@dataclass(frozen=True, slots=True)
class NumericLayout:
    """Columns of numbers, row by row of these arrays. `sources` are fields of the event, or output names.

    `edges` is padded with infinity to the greatest number of edges, `bins[i]` is how many bins column `i`
    has (0: none). Moments are of values cut at `least` and `most`, one reference's width beyond its range, so
    that no single wild row is the news; extremes are not cut.
    """

    kind: str
    names: Sequence[str]
    sources: Sequence[str]
    edges: Floats
    last: Floats
    bins: Sequence[int]
    least: Floats
    most: Floats

    @property
    def signals(self) -> list[tuple[str, str, int]]:
        """Kind, name and bins of each column."""
        return [(self.kind, name, bins) for name, bins in zip(self.names, self.bins, strict=True)]


@dataclass(frozen=True, slots=True)
class CategoryLayout:
    """A column of text; `known` is None where there is no reference to count by."""

    kind: str
    name: str
    source: str
    known: pa.Array | None

    @property
    def signal(self) -> tuple[str, str, int]:
        """Kind, name and bins: one for each known category, one for all others."""
        return self.kind, self.name, 0 if self.known is None else len(self.known) + 1


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything that is counted for one model; `signals` in the order of the other fields.

    `classes` are the labels that it can give.
    """

    features: NumericLayout
    texts: Sequence[CategoryLayout]
    outputs: NumericLayout
    label: CategoryLayout | None
    classes: pa.Array
    signals: Signals


def make_layout(manifest: Manifest, reference: Reference | None) -> Layout:
    """Return what to count for a model; without a reference there are no bins."""
    numbers = [feature for feature in manifest.features if feature.type not in _TEXT]
    texts = [feature for feature in manifest.features if feature.type in _TEXT]
    contract = manifest.output
    outputs = ["score"] if contract.score is not None else []
    outputs += ["value"] if contract.kind == "regressor" else []
    features = _numbers(FEATURE_NUMBER, [f.name for f in numbers], [f.source for f in numbers], reference)
    categories = [
        CategoryLayout(FEATURE_CATEGORY, f.name, f.source, _known(FEATURE_CATEGORY, f.name, reference))
        for f in texts
    ]
    answers = _numbers(OUTPUT_NUMBER, outputs, outputs, reference)
    label = (
        None
        if contract.kind == "regressor"
        else CategoryLayout(OUTPUT_CATEGORY, LABEL, LABEL, _known(OUTPUT_CATEGORY, LABEL, reference))
    )
    counted = [
        *features.signals,
        *(text.signal for text in categories),
        *answers.signals,
        *([] if label is None else [label.signal]),
    ]
    signals = Signals(*zip(*counted, strict=True)) if counted else NO_SIGNALS
    return Layout(features, categories, answers, label, pa.array(contract.classes, pa.string()), signals)


def _known(kind: str, name: str, reference: Reference | None) -> pa.Array | None:
    column = None if reference is None else reference.column(kind, name)
    return pa.array(column.categories, pa.string()) if column is not None and column.shares else None


def _numbers(
    kind: str, names: Sequence[str], sources: Sequence[str], reference: Reference | None
) -> NumericLayout:
    columns = [None if reference is None else reference.column(kind, name) for name in names]
    known = [column.edges if column is not None else () for column in columns]
    widest = max((len(edges) for edges in known), default=0)
    edges = np.full((len(names), widest), np.inf)
    last = np.full(len(names), np.inf)
    least, most = np.full(len(names), -HUGE), np.full(len(names), HUGE)
    for row, (column, bounds) in enumerate(zip(columns, known, strict=True)):
        if column is None or not bounds:
            continue
        edges[row, : len(bounds)] = bounds
        last[row] = bounds[-1]
        # A constant has no width; what is another value there shows as out of range.
        width = (column.high - column.low) or max(1.0, abs(column.high))
        least[row], most[row] = max(-HUGE, column.low - width), min(HUGE, column.high + width)
    bins = [len(bounds) + 1 if bounds else 0 for bounds in known]
    return NumericLayout(kind, names, sources, edges, last, bins, least, most)
