"""The columns of one model's inputs and outputs that are summarised, with their bins and limits.

Summaries are made in `summaries`.
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
from stream_infer.models.manifest import Manifest, OutputContract
from stream_infer.steps.observing.texts import HASH_BINS

TOO_LARGE = 1e100
"""A number from here on counts as not finite: its square, summed over a window, would not be."""

MOST_NUMBERS = 50
"""Of a model with more values, the first ones are summarised: a frame has a place for each in each window."""

NO_SIGNALS = Signals((), (), ())

_TEXT = frozenset({"string", "enum"})


@dataclass(frozen=True, slots=True)
class NumericLayout:
    """Columns of numbers. `sources` are fields of the event, or output names.

    `edges` is (columns, edges), padded with infinity to the greatest number of edges; `last`, `least` and
    `most` have one number for each column, `bins[i]` is the number of bins of column `i` (0: none). Moments
    are of values cut at `least` and `most`, which are one width of the reference's range beyond it, so that
    no single wild row decides; extremes are not cut.
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
    """A column of text; `known` are its categories, None without a reference: then texts are hashed."""

    kind: str
    name: str
    source: str
    known: pa.Array | None

    @property
    def signal(self) -> tuple[str, str, int]:
        """Kind, name and bins: one for each known category, one for all others; or those of the hash."""
        return self.kind, self.name, HASH_BINS if self.known is None else len(self.known) + 1


@dataclass(frozen=True, slots=True)
class Layout:
    """All columns of one model that are summarised; `signals` in the order of the other fields.

    `contract` is the model's, `classes` are the labels that it can give.
    """

    features: NumericLayout
    texts: Sequence[CategoryLayout]
    outputs: NumericLayout
    label: CategoryLayout | None
    contract: OutputContract
    classes: pa.Array
    signals: Signals


def make_layout(manifest: Manifest, reference: Reference | None) -> Layout:
    """Return the layout of a model; without a reference only texts and labels have bins."""
    numbers = [feature for feature in manifest.features if feature.type not in _TEXT]
    texts = [feature for feature in manifest.features if feature.type in _TEXT]
    contract = manifest.output
    outputs = watched_numbers(contract)
    features = _numbers(FEATURE_NUMBER, [f.name for f in numbers], [f.source for f in numbers], reference)
    categories = [
        CategoryLayout(FEATURE_CATEGORY, f.name, f.source, _known(FEATURE_CATEGORY, f.name, reference))
        for f in texts
    ]
    output_numbers = _numbers(OUTPUT_NUMBER, outputs, outputs, reference)
    classes = pa.array(contract.classes, pa.string())
    known_labels = _known(OUTPUT_CATEGORY, LABEL, reference) or (classes if len(classes) else None)
    label = (
        None if contract.kind == "regressor" else CategoryLayout(OUTPUT_CATEGORY, LABEL, LABEL, known_labels)
    )
    columns = [
        *features.signals,
        *(text.signal for text in categories),
        *output_numbers.signals,
        *([] if label is None else [label.signal]),
    ]
    signals = Signals(*zip(*columns, strict=True)) if columns else NO_SIGNALS
    return Layout(features, categories, output_numbers, label, contract, classes, signals)


def watched_numbers(contract: OutputContract) -> Sequence[str]:
    """Return the outputs that are summarised: at most `MOST_NUMBERS`, the primary value among them."""
    primary = [name for name in contract.numbers if name == contract.primary]
    others = [name for name in contract.numbers if name != contract.primary]
    kept = {*primary, *others[: MOST_NUMBERS - len(primary)]}
    return [name for name in contract.numbers if name in kept]


def _known(kind: str, name: str, reference: Reference | None) -> pa.Array | None:
    column = None if reference is None else reference.column(kind, name)
    return pa.array(column.categories, pa.string()) if column is not None and column.shares else None


def _numbers(
    kind: str, names: Sequence[str], sources: Sequence[str], reference: Reference | None
) -> NumericLayout:
    columns = [None if reference is None else reference.column(kind, name) for name in names]
    edges_of = [column.edges if column is not None else () for column in columns]
    most_edges = max((len(bounds) for bounds in edges_of), default=0)
    edges = np.full((len(names), most_edges), np.inf)
    last = np.full(len(names), np.inf)
    least, most = np.full(len(names), -TOO_LARGE), np.full(len(names), TOO_LARGE)
    for row, (column, bounds) in enumerate(zip(columns, edges_of, strict=True)):
        if column is None or not bounds:
            continue
        edges[row, : len(bounds)] = bounds
        last[row] = bounds[-1]
        # A constant has no width; any other value counts as out of range.
        width = (column.high - column.low) or max(1.0, abs(column.high))
        least[row], most[row] = max(-TOO_LARGE, column.low - width), min(TOO_LARGE, column.high + width)
    bins = [len(bounds) + 1 if bounds else 0 for bounds in edges_of]
    return NumericLayout(kind, names, sources, edges, last, bins, least, most)
