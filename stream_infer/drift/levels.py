"""Rates and values held against the reference in absolute terms, from the first window on.

A change detector compares a stream with its own past, so a stream that is broken from its first event never
alarms there. A level alarms when a rate is above its limit, or far from the reference: by more than chance
and by more than matters (`rates.is_far_above`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stream_infer.drift.aspects import RECORDS, Aspect, Signal
from stream_infer.drift.baseline import LearnedBaseline, MissingValues
from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_NUMBER,
    ColumnSummary,
    ObservationFrame,
)
from stream_infer.drift.rates import LEVEL_ZSCORE, is_far_above, rate_zscore, two_rates_zscore
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.drift.zscores import MANY_BINS

_LEAST_EFFECT = 0.9
"""A mean of few values differs from the reference by at least so many standard deviations."""
_LEAST_VALUES = 100
_LEAST_MEAN = 30
"""A mean of fewer sampled values is too far from normal: of one event a flag is always true or never."""
_CONSTANT_BY_CHANCE = -27.6  # the logarithm of 1e-12


@dataclass(frozen=True, slots=True)
class LevelLimits:
    """Greatest shares of records, by what is counted, and those of single features.

    What has no limit is compared with the reference.
    """

    dead_letter_rate: float = 0.1
    rates: Mapping[Aspect, float] = field(default_factory=dict)
    features: Mapping[str, Mapping[Aspect, float]] = field(default_factory=dict)

    def of(self, signal: Signal) -> float | None:
        """Return the limit of a signal, None where it has none."""
        if signal.kind == RECORDS:
            return self.dead_letter_rate
        return self.features.get(signal.name, {}).get(signal.aspect, self.rates.get(signal.aspect))


@dataclass(frozen=True, slots=True)
class Level:
    """One signal in absolute terms: `value` and `allowed` are rates or means.

    `zscore` is the distance from the reference. Where `limited`, `allowed` is a limit of the user, and the
    distance is from none.
    """

    signal: Signal
    zscore: float
    value: float
    allowed: float
    exceeded: bool
    limited: bool = False


def levels(
    frame: ObservationFrame, reference: Reference | None, first: LearnedBaseline | None, limits: LevelLimits
) -> Iterator[Level]:
    """Yield the level of each signal of `frame` that has a limit, a reference or, of nulls, first events."""
    dead = Signal(RECORDS, "", Aspect.DEAD_LETTERS)
    yield _limited(dead, (frame.dead_letters, frame.records), limits.dead_letter_rate)
    for summary in frame.signals:
        column = None if reference is None else reference.column(summary.kind, summary.name)
        yield from _missing(
            summary, frame.records, column or (None if first is None else first.missing(summary)), limits
        )
        if column is not None and summary.count and len(summary.bins) == len(column.shares):
            yield from _values(summary, column, limits)


def _missing(
    summary: ColumnSummary, records: int, known: ReferenceColumn | MissingValues | None, limits: LevelLimits
) -> Iterator[Level]:
    if not summary.kind.startswith("feature"):
        return
    trained = None if known is None else (known.nulls, known.rows)
    nulls = Signal(summary.kind, summary.name, Aspect.NULLS)
    yield from _rate(nulls, (summary.nulls, records), trained, limits)
    if summary.kind == FEATURE_NUMBER:
        trained = None if known is None else (known.non_finite, known.rows)
        signal = nulls._replace(aspect=Aspect.NON_FINITE)
        yield from _rate(signal, (summary.non_finite, records), trained, limits)


def _rate(
    signal: Signal, found: tuple[float, int], trained: tuple[float, int] | None, limits: LevelLimits
) -> Iterator[Level]:
    """Yield the level of a rate that has a limit, or else a reference."""
    limit = limits.of(signal)
    if limit is not None:
        yield _limited(signal, found, limit)
    elif trained is not None:
        yield _compared(signal, found, trained)


def _values(summary: ColumnSummary, column: ReferenceColumn, limits: LevelLimits) -> Iterator[Level]:
    """Yield the levels of sampled values; `summary` has at least one."""
    signal = Signal(summary.kind, summary.name, Aspect.UNSEEN)
    rows = column.rows - column.nulls - column.non_finite
    if summary.kind == FEATURE_CATEGORY:
        trained = column.shares[-1] * rows, rows
        yield from _rate(signal, (summary.bins[-1], summary.count), trained, limits)
        return
    if summary.kind not in {FEATURE_NUMBER, OUTPUT_NUMBER}:
        return
    if summary.kind == FEATURE_NUMBER:
        outside = summary.bins[0] + summary.bins[-1]
        out_of_range = signal._replace(aspect=Aspect.OUT_OF_RANGE)
        yield from _rate(out_of_range, (outside, summary.count), (0, rows), limits)
    if column.stddev > 0:
        yield from _numbers(signal._replace(aspect=Aspect.MEAN), summary, column, rows)


def _numbers(signal: Signal, summary: ColumnSummary, column: ReferenceColumn, rows: int) -> Iterator[Level]:
    """Yield the mean, whose level counts in columns of few values, and whether a column is constant now."""
    effect = (summary.mean - column.mean) / column.stddev
    zscore = effect / math.sqrt(1 / summary.count + 1 / rows)
    few = len(column.shares) - 2 < MANY_BINS
    rare = abs(_rate_of_mean(summary, column, rows)) >= LEVEL_ZSCORE
    far = abs(effect) >= _LEAST_EFFECT and abs(zscore) >= LEVEL_ZSCORE and rare
    exceeded = few and far and summary.count >= _LEAST_MEAN
    yield Level(signal, zscore, summary.mean, column.mean, exceeded)
    chance = summary.count * math.log(max(column.shares))
    constant = summary.low == summary.high and summary.count >= _LEAST_VALUES and chance < _CONSTANT_BY_CHANCE
    zscore = -math.sqrt(-2 * chance) if constant else 0.0
    yield Level(signal._replace(aspect=Aspect.SPREAD), zscore, 0.0, column.stddev, constant)


def _rate_of_mean(summary: ColumnSummary, column: ReferenceColumn, rows: int) -> float:
    """Return how far the mean is off as a rate between the extremes: rare flags are not near normal."""
    width = column.high - column.low
    found, known = (min(1.0, max(0.0, (one.mean - column.low) / width)) for one in (summary, column))
    return two_rates_zscore(found * summary.count, summary.count, known * rows, rows)


def _limited(signal: Signal, found: tuple[float, int], limit: float) -> Level:
    """Return a level with a limit of the user; its distance is from none."""
    count, total = found
    exceeded = rate_zscore(count, total, limit) >= LEVEL_ZSCORE
    value = count / total if total else 0.0
    return Level(signal, rate_zscore(count, total, 0.0), value, limit, exceeded, limited=True)


def _compared(signal: Signal, found: tuple[float, int], trained: tuple[float, int]) -> Level:
    value, allowed = (count / total if total else 0.0 for count, total in (found, trained))
    return Level(signal, two_rates_zscore(*found, *trained), value, allowed, is_far_above(found, trained))
