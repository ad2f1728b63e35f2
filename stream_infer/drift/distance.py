"""Distance from the training data: PSI and Kolmogorov-Smirnov on the bins of the reference.

Change detectors see that a stream changed; these see that it differs from the training data, also when it has
from its first event. Both need many rows on both sides: without drift, PSI is over 0.2 in a third and more of
the windows when the reference has 50 rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import chdtri

from stream_infer.drift.frames import ColumnSummary
from stream_infer.drift.reference import ReferenceColumn

MIN_REFERENCE_ROWS = 1000
MIN_SAMPLE_ROWS = 500
INSUFFICIENT_REFERENCE = "insufficient_reference"
NOTABLE_PSI = 0.1
"""Below it a difference may be certain and still not matter (the usual scale: 0.1 small, 0.25 large)."""
_LEAST_CHANCE = 1e-15


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a sample is from the reference, and the threshold that chance alone rarely exceeds."""

    detector: str
    statistic: float
    threshold: float
    parameters: Mapping[str, float]

    @property
    def exceeded(self) -> bool:
        """Whether the sample differs from the reference."""
        return self.statistic > self.threshold


def is_sufficient(column: ReferenceColumn | None) -> bool:
    """Return whether the reference has enough values of `column` to compare a sample with."""
    return column is not None and bool(column.shares) and column.rows - column.nulls >= MIN_REFERENCE_ROWS


def psi(
    sample: ColumnSummary, column: ReferenceColumn, *, chance: float, inflation: float = 1.0
) -> Distance | None:
    """Return the population stability index, or None when rows or bins are too few.

    Without drift, PSI over (1 / sample + 1 / reference) is about chi-squared with bins - 1 degrees of freedom
    (Yurdakul and Naranjo 2020); the threshold is its upper quantile at `chance`, at least `NOTABLE_PSI`.
    `inflation` is the number of values for each one that counts.
    """
    if not _comparable(sample, column):
        return None
    rows = column.rows - column.nulls
    pairs = [(n, share * rows) for n, share in zip(sample.bins, column.shares, strict=True)]
    pairs = [(observed, expected) for observed, expected in pairs if observed or expected]
    # Half a row for each bin, on both sides: an empty bin has no logarithm.
    total, reference_total = sample.count + 0.5 * len(pairs), rows + 0.5 * len(pairs)
    shares = [((observed + 0.5) / total, (expected + 0.5) / reference_total) for observed, expected in pairs]
    statistic = sum((p - q) * math.log(p / q) for p, q in shares)
    quantile = float(chdtri(max(1, len(pairs) - 1), max(chance, _LEAST_CHANCE)))
    threshold = max(NOTABLE_PSI, quantile * inflation * (1 / sample.count + 1 / rows))
    return Distance("PSI", statistic, threshold, {"bins": len(pairs), "chance": chance})


def ks(
    sample: ColumnSummary, column: ReferenceColumn, *, chance: float, inflation: float = 1.0
) -> Distance | None:
    """Return the greatest distance between the distribution functions at the reference's edges; numbers only.

    The threshold is Kolmogorov's for `chance`; a comparison at the edges alone makes it conservative.
    """
    if not column.edges or not _comparable(sample, column):
        return None
    rows = column.rows - column.nulls
    greatest = below = reference_below = 0.0
    for n, share in zip(sample.bins, column.shares, strict=True):
        below, reference_below = below + n / sample.count, reference_below + share
        greatest = max(greatest, abs(below - reference_below))
    threshold = math.sqrt(-math.log(chance / 2) / 2 * inflation * (1 / sample.count + 1 / rows))
    return Distance("KS", greatest, threshold, {"chance": chance})


def _comparable(sample: ColumnSummary, column: ReferenceColumn) -> bool:
    return (
        is_sufficient(column)
        and sample.count >= MIN_SAMPLE_ROWS
        and len(sample.bins) == len(column.shares)
        and sum(1 for share in column.shares if share) > 1
    )
