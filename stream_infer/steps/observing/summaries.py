"""The summaries of a scored batch: every column of its features and outputs, for all groups at once.

Which columns are summarised is in `layout`, the summary of numbers is in `numeric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.drift.frames import Floats, Ints, Signals
from stream_infer.models.scores import Scores
from stream_infer.steps.observing.groups import RowGroups
from stream_infer.steps.observing.layout import CategoryLayout, Layout, NumericLayout
from stream_infer.steps.observing.numeric import all_surely_finite, are_finite, count_bins, write_moments
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.observing.texts import hash_bins
from stream_infer.steps.rows import Rows, numbers_of

_COUNT, _NULLS, _NON_FINITE = range(3)


@dataclass(frozen=True, slots=True)
class SummaryTables:
    """The summaries of all groups in the form of `FrameTables`; filled column by column."""

    counts: Ints
    moments: Floats
    bins: Ints

    @classmethod
    def empty(cls, groups: int, signals: Signals) -> SummaryTables:
        """Return tables in which nothing is counted yet."""
        shape = groups, len(signals)
        return cls(
            np.zeros((3, *shape), np.int64),
            np.zeros((4, *shape)),
            np.zeros((groups, sum(signals.widths)), np.int64),
        )


class _Place(NamedTuple):
    """The place of the next column in the tables: its number, and the first of its bins."""

    signal: int
    bin: int


def summarise(layout: Layout, scored: ScoredRows, groups: RowGroups, sampled: Rows) -> SummaryTables:
    """Return the summaries of each group.

    `sampled` indexes the readable rows, in order of groups; nulls and non-finite values are counted of all.
    """
    tables = SummaryTables.empty(groups.count, layout.signals)
    group = numbers_of(groups.of_row, scored.readable)
    sampled_group = group[sampled]
    columns = [scored.columns[source] for source in layout.features.sources]
    matrix = np.empty((len(columns), len(sampled)))
    for row, column in enumerate(columns):
        _count_missing(column, group, tables.counts[:, :, row])
        _take_numbers(column, sampled, matrix[row])
    place = _numbers(layout.features, matrix, sampled_group, tables, _Place(0, 0))
    for text in layout.texts:
        column = scored.columns[text.source]
        _count_missing(column, group, tables.counts[:, :, place.signal])
        place = _categories(text, column.take(pa.array(sampled)), sampled_group, tables, place)
    _outputs(layout, scored, sampled_group, sampled, tables, place)
    return tables


def _outputs(
    layout: Layout, scored: ScoredRows, group: Rows, sampled: Rows, tables: SummaryTables, place: _Place
) -> None:
    rows = sampled
    if len(scored.scored) < len(scored.readable):
        number = np.full(len(scored.readable), -1)
        number[scored.scored] = np.arange(len(scored.scored))
        rows = number[sampled]
        group, rows = group[rows >= 0], rows[rows >= 0]
    outputs = scored.scores.numbers(layout.contract)
    if not len(scored.scores):
        group, rows = group[:0], rows[:0]
    watched = [outputs[source][rows] for source in layout.outputs.sources]
    matrix = np.array(watched).reshape(len(watched), len(rows))
    place = _numbers(layout.outputs, matrix, group, tables, place)
    if layout.label is not None:
        _categories(layout.label, _labels(layout.classes, scored.scores, rows), group, tables, place)


def _labels(classes: pa.Array, scores: Scores, rows: Rows) -> pa.Array:
    """Return the labels of `rows`; none where no row was scored."""
    if scores.winner is not None:
        return classes.take(pa.array(scores.winner[rows]))
    return pa.array([] if scores.label is None else scores.label[rows], pa.string())


def _take_numbers(column: pa.Array, rows: Rows, into: Floats) -> None:
    """Write `rows` of a column of numbers into `into`; a null is NaN there."""
    if column.type == pa.float64() and not column.null_count:
        np.take(column.to_numpy(), rows, out=into, mode="clip")  # the mode that needs no copy
        return
    taken = column.take(pa.array(rows))
    values = taken.cast(pa.float64(), safe=False) if column.type != pa.float64() else taken
    into[:] = values.to_numpy(zero_copy_only=False)


def _count_missing(column: pa.Array, group: Rows, counts: Ints) -> None:
    """Count nulls and non-finite values of every row into `counts` (3, groups)."""
    if column.null_count:
        null = column.is_null().to_numpy(zero_copy_only=False)
        counts[_NULLS] = np.bincount(group[null], minlength=counts.shape[1])
    if pa.types.is_floating(column.type):
        values = (column.fill_null(0) if column.null_count else column).to_numpy()
        if not all_surely_finite(values):
            counts[_NON_FINITE] = np.bincount(group[~are_finite(values)], minlength=counts.shape[1])


def _numbers(
    layout: NumericLayout, matrix: Floats, group: Rows, tables: SummaryTables, place: _Place
) -> _Place:
    """Summarise columns of numbers; return the place of the next column.

    `matrix` is (columns, sampled rows), `group` (sampled rows) ascending.
    """
    columns, bins = len(layout.names), sum(layout.bins)
    if len(group) and columns:
        finite = are_finite(matrix)
        here = slice(place.signal, place.signal + columns)
        counts, moments = tables.counts[_COUNT, :, here], tables.moments[:, :, here]
        write_moments(layout, matrix, finite, group, counts, moments)
        counted = count_bins(layout, matrix, finite, group, len(tables.bins))
        tables.bins[:, place.bin : place.bin + bins] = counted
    return _Place(place.signal + columns, place.bin + bins)


def _categories(
    layout: CategoryLayout, column: pa.Array, group: Rows, tables: SummaryTables, place: _Place
) -> _Place:
    """Summarise a column of text; return the place of the next column."""
    groups = len(tables.bins)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    tables.counts[_COUNT, :, place.signal] = np.bincount(group[valid], minlength=groups)
    _, _, width = layout.signal
    if layout.known is None:
        category = hash_bins(column)
    else:
        category = pc.index_in(column, value_set=layout.known).fill_null(width - 1).to_numpy()
    bins = np.bincount((group * width + category)[valid], minlength=groups * width).reshape(groups, width)
    tables.bins[:, place.bin : place.bin + width] = bins
    return _Place(place.signal + 1, place.bin + width)
