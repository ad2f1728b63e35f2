"""Distance from the training data: PSI and Kolmogorov-Smirnov on the bins of the reference.

Change detectors see that a stream changed; these see that it differs from what the model was made from, also
when it has from its first event. Both need many rows on both sides: without drift, PSI is over 0.2 in a third
and more of the windows when the reference has 50 rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from stream_infer.drift.frames import ColumnSummary
from stream_infer.drift.reference import ReferenceColumn

LEAST_REFERENCE_ROWS = 1000
LEAST_LOOK_ROWS = 500
INSUFFICIENT = "insufficient_reference"
NOTABLE_PSI = 0.1
"""Below it a difference may be certain and still not matter (the usual scale: 0.1 small, 0.25 large)."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far a sample is from the reference, and how far chance alone would take it."""

    detector: str
    statistic: float
    threshold: float
    parameters: Mapping[str, float]

    @property
    def far(self) -> bool:
        """Whether this is a difference."""
        return self.statistic > self.threshold


def shortage(column: ReferenceColumn | None) -> str | None:
    """Return `insufficient_reference` when nothing can be compared with `column`."""
    if column is None or not column.shares:
        return INSUFFICIENT
    return INSUFFICIENT if column.rows - column.nulls < LEAST_REFERENCE_ROWS else None


def psi(sample: ColumnSummary, column: ReferenceColumn, *, chance: float) -> Distance | None:
    """Return the population stability index, or None when rows or bins are too few.

    Without drift, PSI over (1 / sample + 1 / reference) is about chi-squared with bins - 1 degrees (Yurdakul
    and Naranjo 2020); the threshold is its quantile at `chance`, at least `NOTABLE_PSI`.
    """
    if not _comparable(sample, column):
        return None
    rows = column.rows - column.nulls
    pairs = [(n, share * rows) for n, share in zip(sample.bins, column.shares, strict=True)]
    pairs = [(n, wanted) for n, wanted in pairs if n or wanted]
    here, there = sample.count + 0.5 * len(pairs), rows + 0.5 * len(pairs)
    terms = [((n + 0.5) / here, (wanted + 0.5) / there) for n, wanted in pairs]
    statistic = sum((p - q) * math.log(p / q) for p, q in terms)
    by_chance = _chi_squared(len(pairs) - 1, chance) * (1 / sample.count + 1 / rows)
    return Distance("PSI", statistic, max(NOTABLE_PSI, by_chance), {"bins": len(pairs), "chance": chance})


def ks(sample: ColumnSummary, column: ReferenceColumn, *, chance: float) -> Distance | None:
    """Return the greatest distance between the distributions at the reference's edges, numbers only.

    The threshold is Kolmogorov's for `chance`; seeing only the edges makes it cautious.
    """
    if not column.edges or not _comparable(sample, column):
        return None
    rows = column.rows - column.nulls
    apart = here = there = 0.0
    for n, share in zip(sample.bins, column.shares, strict=True):
        here, there = here + n / sample.count, there + share
        apart = max(apart, abs(here - there))
    threshold = math.sqrt(-math.log(chance / 2) / 2 * (1 / sample.count + 1 / rows))
    return Distance("KS", apart, threshold, {"chance": chance})


def _comparable(sample: ColumnSummary, column: ReferenceColumn) -> bool:
    return (
        shortage(column) is None
        and sample.count >= LEAST_LOOK_ROWS
        and len(sample.bins) == len(column.shares)
        and sum(1 for share in column.shares if share) > 1
    )


def _chi_squared(freedom: int, chance: float) -> float:
    """Return the upper quantile (Wilson and Hilferty 1931), good to a percent where it is used."""
    spread = 2 / (9 * max(1, freedom))
    at = NormalDist().inv_cdf(1 - max(chance, 1e-15))
    return float(max(1, freedom) * (1 - spread + at * math.sqrt(spread)) ** 3)
