"""From a window to z-scores: about standard normal while nothing changes, whatever a column holds.

Each column gives several signals; each signal gives one number per window, or none when there are too few
values. Which detectors see these numbers is in `detector_bank`.

- Numbers with many reference bins: mean and spread of the bins' normal scores (see `normal_scores`).
- Numbers with few bins (flags, small codes): the mean within the reference's range, as a rate.
- Numbers without a reference: mean and log variance against the first windows of the stream, in the standard
  errors that these windows showed (see `baseline`).
- Categories: Pearson's X2 (Pearson 1900) over the reference's shares, made normal (Wilson and Hilferty 1931).
- Rates: the arcsine of the square root, whose variance does not depend on the rate (Anscombe 1948).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stream_infer.drift.aspects import RECORDS, Aspect, Signal
from stream_infer.drift.baseline import LearnedBaseline, tail_factor
from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_CATEGORY,
    OUTPUT_NUMBER,
    ColumnSummary,
    ObservationFrame,
)
from stream_infer.drift.normal_scores import normal_scores
from stream_infer.drift.rates import arcsine_zscore, rate_zscore
from stream_infer.drift.reference import Reference, ReferenceColumn

MANY_BINS = 6
"""A column with fewer bins has few values: a flag, a small code."""
_MIN_VALUES = 30
"""A mean of fewer sampled values is too far from normal."""
_HEAVY = 5.0
"""A log variance that varies so many times more than that of normal values is of a few wild values."""
_MIN_EXPECTED = 5.0
"""Bins that expect fewer values are merged: Cochran's rule (1954) for X2."""

AspectScore = tuple[Aspect, float]


@dataclass(frozen=True, slots=True)
class ZScore:
    """The value of one signal in one window, in standard errors from its baseline."""

    signal: Signal
    value: float


def zscores(
    window: ObservationFrame, reference: Reference | None, learned: LearnedBaseline | None
) -> Iterator[ZScore]:
    """Yield the z-score of each signal of `window`.

    A column that the reference lacks is compared with the first windows, and yields nothing before `learned`.
    """
    if learned is not None:
        expected = _ratio(learned.frame.dead_letters, learned.frame.records)
        rejected = rate_zscore(window.dead_letters, window.records, expected)
        yield ZScore(Signal(RECORDS, "", Aspect.DEAD_LETTERS), rejected)
    first = {} if learned is None else learned.columns
    for summary in window.signals:
        key = (summary.kind, summary.name)
        column = None if reference is None else reference.column(*key)
        if column is not None and column.shares:
            scores = _against_reference(summary, window.records, column)
        elif learned is not None and key in first:
            scores = _against_first_windows(summary, window.records, first[key], learned)
        else:
            continue
        for aspect, value in scores:
            yield ZScore(Signal(*key, aspect), value)


def _against_reference(
    summary: ColumnSummary, records: int, column: ReferenceColumn
) -> Iterator[AspectScore]:
    yield from _missing_values(summary, records, column.nulls, column.non_finite, column.rows)
    if summary.count < _MIN_VALUES or len(summary.bins) != len(column.shares):
        return
    if summary.kind in {FEATURE_NUMBER, OUTPUT_NUMBER}:
        yield from _numbers(summary, column)
    else:
        yield from _categories(summary, column)


def _against_first_windows(
    summary: ColumnSummary, records: int, first: ColumnSummary, learned: LearnedBaseline
) -> Iterator[AspectScore]:
    yield from _missing_values(summary, records, first.nulls, first.non_finite, learned.rows(summary))
    if summary.kind in {FEATURE_CATEGORY, OUTPUT_CATEGORY} and len(summary.bins) == len(first.bins):
        value = two_samples_zscore(summary.bins, first.bins) if summary.count >= _MIN_VALUES else None
        if value is not None:
            yield Aspect.CATEGORIES, value
    factors = learned.inflation.get((summary.kind, summary.name))
    if factors is None or summary.count < _MIN_VALUES:
        return
    mean_factor, spread_factor = factors
    # A sum over its own spread has light tails, whatever those of its values: one wild value moves both.
    standard_error = math.sqrt(max(first.variance, summary.variance) / summary.count)
    yield Aspect.MEAN, (summary.mean - first.mean) / standard_error / mean_factor
    if summary.variance <= 0:
        return
    difference = math.log(summary.variance) - math.log(first.variance)
    spread_factor = max(spread_factor, tail_factor(first), tail_factor(summary))
    yield (
        Aspect.SPREAD,
        _bounded(difference, spread_factor) / math.sqrt(2 / (summary.count - 1)) / spread_factor,
    )


def _bounded(difference: float, tail: float) -> float:
    """Return a difference of log variances; that of heavy tails is at most 1, however wild one value is.

    A variance over its own standard error cannot be large where one value makes both, its logarithm can.
    """
    part = min(1.0, (tail - 1) / _HEAVY)
    return math.copysign(-math.expm1(-abs(difference) * part) / part, difference) if part > 0 else difference


def _missing_values(
    summary: ColumnSummary, records: int, nulls: int, non_finite: int, rows: int
) -> Iterator[AspectScore]:
    """Yield the rates of nulls and non-finite values of a feature, against those of `rows` baseline rows."""
    if summary.kind.startswith("feature"):
        yield Aspect.NULLS, rate_zscore(summary.nulls, records, _ratio(nulls, rows))
    if summary.kind == FEATURE_NUMBER:
        yield Aspect.NON_FINITE, rate_zscore(summary.non_finite, records, _ratio(non_finite, rows))


def _numbers(summary: ColumnSummary, column: ReferenceColumn) -> Iterator[AspectScore]:
    if summary.kind == FEATURE_NUMBER:
        outside = summary.bins[0] + summary.bins[-1]
        yield Aspect.OUT_OF_RANGE, rate_zscore(outside, summary.count, 0.0)
    if len(column.shares) - 2 >= MANY_BINS:
        scores = normal_scores(column.shares, column.rows)
        yield Aspect.MEAN, scores.location.zscore(summary.bins)
        yield Aspect.SPREAD, scores.spread.zscore(summary.bins)
        return
    width = column.high - column.low
    if width > 0:
        yield Aspect.MEAN, _bounded_mean(summary, column, width)


def _categories(summary: ColumnSummary, column: ReferenceColumn) -> Iterator[AspectScore]:
    yield Aspect.UNSEEN, rate_zscore(summary.bins[-1], summary.count, column.shares[-1])
    if summary.count - summary.bins[-1] >= _MIN_VALUES:
        value = shares_zscore(summary.bins[:-1], column.shares[:-1])
        if value is not None:
            yield Aspect.CATEGORIES, value


def _ratio(count: int, total: int) -> float:
    return count / total if total else 0.0


def _bounded_mean(summary: ColumnSummary, column: ReferenceColumn, width: float) -> float:
    """Return how far the mean is off, for a column of few values: as a rate between its extremes.

    The variance of such a column is a part of a rate's p (1 - p); that part comes from the reference.
    """
    expected = min(1.0, max(0.0, (column.mean - column.low) / width))
    observed = min(1.0, max(0.0, (summary.mean - column.low) / width))
    part = (column.stddev / width) ** 2 / (expected * (1 - expected)) if 0 < expected < 1 else 1.0
    effective = summary.count / max(part, 1e-3)
    return arcsine_zscore(observed * effective, expected * effective, effective)


def shares_zscore(counts: Sequence[int], shares: Sequence[float]) -> float | None:
    """Return Pearson's X2 of `counts` against `shares`, made normal; None with fewer than two bins.

    `counts` and `shares` have one item for each category. Categories that expect few values are merged.
    """
    observed, expected = _merge_rare(counts, shares)
    freedom = len(expected) - 1
    if freedom < 1:
        return None
    # A test holds this sum equal to `scipy.stats.chisquare`, whose 0.5 ms a call would make a window of
    # 20 columns a third slower.
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return _normal_of_x2(statistic, freedom)


def _normal_of_x2(statistic: float, freedom: int) -> float:
    """Return X2 as a value that is about standard normal (Wilson and Hilferty 1931)."""
    variance = 2 / (9 * freedom)
    return float(((statistic / freedom) ** (1 / 3) - (1 - variance)) / math.sqrt(variance))


def two_samples_zscore(counts: Sequence[int], known: Sequence[int]) -> float | None:
    """Return Pearson's X2 of `counts` against the counts of another sample, made normal; None as above.

    The shares of the other sample are as uncertain as its size makes them: X2 is that much smaller. What is
    in no bin of it counts as half a value there.
    """
    total, before = sum(counts), sum(known)
    if not total or not before:
        return None
    observed, expected = _merge_rare(counts, [max(count, 0.5) / before for count in known])
    freedom = len(expected) - 1
    if freedom < 1:
        return None
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True))
    return _normal_of_x2(statistic / (1 + total / before), freedom)


def _merge_rare(counts: Sequence[int], shares: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return observed and expected counts, those of rare categories as one; none if that is rare itself."""
    total, known = sum(counts), sum(shares)
    observed: list[int] = []
    expected: list[float] = []
    rare_observed, rare_expected = 0, 0.0
    for count, share in zip(counts, shares, strict=True):
        expectation = share / known * total if known else 0.0
        if expectation < _MIN_EXPECTED:
            rare_observed, rare_expected = rare_observed + count, rare_expected + expectation
        else:
            observed.append(count)
            expected.append(expectation)
    if rare_expected >= 1.0:
        observed.append(rare_observed)
        expected.append(rare_expected)
    return observed, expected
