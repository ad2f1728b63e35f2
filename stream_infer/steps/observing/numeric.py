"""Moments, extremes and bins of columns of numbers: all columns and groups of a batch at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream_infer.drift.frames import Floats, Ints
from stream_infer.steps.observing.groups import row_runs
from stream_infer.steps.observing.layout import TOO_LARGE, NumericLayout
from stream_infer.steps.rows import Rows

_BYTE = 127


def are_finite(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which values count as finite numbers: of absolute value below `TOO_LARGE`, and not NaN."""
    # A comparison is also False for NaN; a narrower float cannot hold a number that is too large.
    wide = values.dtype == np.float64
    finite: NDArray[np.bool_] = np.abs(values) < TOO_LARGE if wide else np.isfinite(values)
    return finite


def all_surely_finite(values: NDArray[np.floating]) -> bool:
    """Return whether all values are finite by a single pass; False may be wrong, for huge values."""
    if values.dtype != np.float64:
        return bool(np.isfinite(values).all())
    return bool(np.dot(values, values) < TOO_LARGE)


def write_moments(
    layout: NumericLayout,
    matrix: Floats,
    finite: NDArray[np.bool_],
    group: Rows,
    counts: Ints,
    moments: Floats,
) -> None:
    """Write counts (groups, columns) and mean, m2, least and greatest value (4, groups, columns).

    `matrix` and `finite` are (columns, sampled rows), `group` is the group of each sampled row, ascending.
    Mean and m2 are of values that are cut at the limits of `layout`.
    """
    starts, sizes = row_runs(group[1:] != group[:-1])
    present = group[starts]
    all_finite = bool(finite.all())
    cut = np.clip(matrix, layout.least[:, None], layout.most[:, None])
    number = (
        np.broadcast_to(sizes, (len(matrix), len(present)))
        if all_finite
        else np.add.reduceat(finite, starts, axis=1, dtype=np.int64)
    )
    if not all_finite:
        cut[~finite] = 0.0
    mean = np.add.reduceat(cut, starts, axis=1) / np.maximum(number, 1)
    cut -= np.repeat(mean, sizes, axis=1)
    if not all_finite:
        cut[~finite] = 0.0
    m2 = np.add.reduceat(np.square(cut, out=cut), starts, axis=1)
    low = np.minimum.reduceat(matrix if all_finite else np.where(finite, matrix, np.inf), starts, axis=1)
    high = np.maximum.reduceat(matrix if all_finite else np.where(finite, matrix, -np.inf), starts, axis=1)
    some = number > 0
    counts[present] = number.T
    for row, values in enumerate((mean, m2, np.where(some, low, 0.0), np.where(some, high, 0.0))):
        moments[row, present] = values.T


def count_bins(
    layout: NumericLayout, matrix: Floats, finite: NDArray[np.bool_], group: Rows, groups: int
) -> Ints:
    """Return counts (groups, bins of all columns): of each column below the edges, in each bin, above.

    A bin has its lower edge, the last one both. The arguments are those of `write_moments`.
    """
    columns, edges = layout.edges.shape
    width = edges + 1
    # A comparison with every edge beats a search for each column: one call for all of them. Counted in bytes.
    place = np.zeros(matrix.shape, np.int8 if edges < _BYTE else np.int64)
    above = np.empty(matrix.shape, np.bool_)
    for edge in range(edges):
        np.greater_equal(matrix, layout.edges[:, edge, None], out=above)
        place += above
    place -= matrix == layout.last[:, None]
    cell = place + (group * (columns * width) + (np.arange(columns) * width)[:, None])
    inside = cell.ravel() if finite.all() else cell[finite]
    counts = np.bincount(inside, minlength=groups * columns * width).reshape(groups, columns, width)
    return counts[:, np.arange(width) < np.asarray(layout.bins)[:, None]]
