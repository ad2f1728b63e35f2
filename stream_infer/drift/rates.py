"""Rates compared: of a window with an expected one, and of two samples with each other."""

from __future__ import annotations

import math

LEVEL_ZSCORE = 6.0
"""A level is exceeded by at least so much: one in a billion by chance."""
_LEAST_DIFFERENCE = 0.2
"""Rates that differ from those of before by less are left to the change detectors."""


def rate_zscore(count: float, total: int, expected: float) -> float:
    """Return how far `count` of `total` is from the rate `expected` (Anscombe's arcsine); 0.0 of no rows."""
    if not total:
        return 0.0
    return arcsine_zscore(count, expected * total, total)


def two_rates_zscore(count: float, total: int, known: float, rows: int) -> float:
    """Return how far the rate `count` of `total` is from `known` of `rows`, in their common standard error.

    The uncertainty is that of both samples, whatever the rates (Anscombe 1948); 0.0 without rows.
    """
    if not total or not rows:
        return 0.0
    difference = arcsine(count, total) - arcsine(known, rows)
    return 2 * difference / math.sqrt(1 / (total + 0.5) + 1 / (rows + 0.5))


def is_far_above(found: tuple[float, int], known: tuple[float, int]) -> bool:
    """Whether a rate (count, total) is above a known one by more than chance and by more than matters."""
    value, allowed = (count / total if total else 0.0 for count, total in (found, known))
    return two_rates_zscore(*found, *known) >= LEVEL_ZSCORE and value - allowed >= _LEAST_DIFFERENCE


def arcsine_zscore(observed: float, expected: float, total: float) -> float:
    """Return the difference of two counts of `total` on Anscombe's scale, whose standard deviation is 1."""
    return 2 * math.sqrt(total + 0.5) * (arcsine(observed, total) - arcsine(expected, total))


def arcsine(count: float, total: float) -> float:
    """Return the rate of `count` of `total` on Anscombe's scale (1948)."""
    return math.asin(math.sqrt(min(1.0, (count + 0.375) / (total + 0.75))))
