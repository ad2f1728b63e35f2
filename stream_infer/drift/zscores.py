"""From a look to standardised values: about standard normal while nothing changes, whatever the column holds.

A look is a closed window (or several small ones together). Each feature gives several signals; each signal
gives one number per look, or none when there is too little to say. Who watches these numbers is in `watch`.

- Numbers with many reference bins: mean and spread are measured on the bins' normal scores (van der Waerden;
  for the spread their squares), whose variance is known without knowing the distribution, and which one wild
  row cannot move.
- Numbers with few bins (flags, small codes): the mean within the reference's range, as a rate.
- Numbers without a reference: mean and log variance against the first looks of the stream, and against how
  much these differed.
- Categories: Pearson's X2 over the reference's shares, made normal (Wilson and Hilferty 1931).
- Rates: the arcsine of the square root, whose variance does not depend on the rate (Anscombe 1948).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

from stream_infer.drift.frames import FEATURE_NUMBER, OUTPUT_NUMBER, ColumnSummary, ObservationFrame, folded
from stream_infer.drift.reference import Reference, ReferenceColumn

_NORMAL = NormalDist()
MANY_BINS = 6
LEAST_VALUES = 30
"""Fewer sampled values give no look: their mean is too far from normal."""
_LEAST_EXPECTED = 5.0


class Aspect(StrEnum):
    """What of a column a signal is about."""

    MEAN = "mean"
    SPREAD = "spread"
    CATEGORIES = "categories"
    UNSEEN = "unseen_category"
    OUT_OF_RANGE = "out_of_range"
    NULLS = "null_rate"
    NON_FINITE = "non_finite_rate"
    DEAD_LETTERS = "dead_letter_rate"
    ERROR = "error"
    DISTRIBUTION = "distribution"


class Signal(NamedTuple):
    """One thing that is watched: a column (kind and name are empty for all records), and what of it."""

    kind: str
    name: str
    aspect: Aspect


RECORDS = ""


@dataclass(frozen=True, slots=True)
class ZScore:
    """One standardised value of one signal in one look."""

    signal: Signal
    value: float


@dataclass(frozen=True, slots=True)
class LearnedBaseline:
    """The first looks together, and for columns without a reference how much looks differ beyond chance.

    `beyond` is by (kind, name): factors on the standard errors of the mean and of the log variance that
    independent normal values would have. Heavy tails make them large.
    """

    frame: ObservationFrame
    beyond: Mapping[tuple[str, str], tuple[float, float]]

    @property
    def columns(self) -> Mapping[tuple[str, str], ColumnSummary]:
        """The summaries of the first looks by kind and name."""
        return {(s.kind, s.name): s for s in self.frame.signals}


def learn_baseline(looks: Sequence[ObservationFrame]) -> LearnedBaseline:
    """Return what the first looks of a stream teach; few looks make uncertain factors: they are raised."""
    together = looks[0]
    for look in looks[1:]:
        together = folded(together, look)
    beyond = {}
    for whole in together.signals:
        key = (whole.kind, whole.name)
        parts = [s for look in looks for s in look.signals if (s.kind, s.name) == key and s.variance > 0]
        if len(parts) > 1:
            means = statistics.stdev(s.mean / math.sqrt(whole.variance / s.count) for s in parts)
            spreads = statistics.stdev(math.log(s.variance) / math.sqrt(2 / (s.count - 1)) for s in parts)
            beyond[key] = (max(1.0, 1.5 * means), max(1.0, 2 * spreads))
    return LearnedBaseline(together, beyond)


def zscores(
    look: ObservationFrame, reference: Reference | None, learned: LearnedBaseline | None
) -> Iterator[ZScore]:
    """Yield what `look` says about each signal; what is held against the first looks waits for them."""
    if learned is not None:
        usual = _part(learned.frame.dead_letters, learned.frame.records)
        yield ZScore(Signal(RECORDS, "", Aspect.DEAD_LETTERS), _rate(look.dead_letters, look.records, usual))
    first = {} if learned is None else learned.columns
    for summary in look.signals:
        key = (summary.kind, summary.name)
        column = None if reference is None else reference.column(*key)
        if column is not None and column.shares:
            found = _of_column(summary, look.records, column)
        elif learned is not None and key in first:
            found = _against(first[key], learned, summary, look.records)
        else:
            continue
        for aspect, value in found:
            yield ZScore(Signal(*key, aspect), value)


def _of_column(
    summary: ColumnSummary, records: int, column: ReferenceColumn
) -> Iterator[tuple[Aspect, float]]:
    yield from _flaws(summary, records, column.nulls, column.non_finite, column.rows)
    if summary.count < LEAST_VALUES or len(summary.bins) != len(column.shares):
        return
    if summary.kind in {FEATURE_NUMBER, OUTPUT_NUMBER}:
        yield from _of_numbers(summary, column)
    else:
        yield from _of_categories(summary, column)


def _against(
    first: ColumnSummary, learned: LearnedBaseline, now: ColumnSummary, records: int
) -> Iterator[tuple[Aspect, float]]:
    yield from _flaws(now, records, first.nulls, first.non_finite, learned.frame.records)
    factors = learned.beyond.get((now.kind, now.name))
    if factors is None or now.count < LEAST_VALUES or now.variance <= 0:
        return
    of_mean, of_spread = factors
    yield Aspect.MEAN, (now.mean - first.mean) / math.sqrt(first.variance / now.count) / of_mean
    apart = math.log(now.variance / first.variance)
    yield Aspect.SPREAD, apart / math.sqrt(2 / (now.count - 1)) / of_spread


def _flaws(
    summary: ColumnSummary, records: int, nulls: int, non_finite: int, rows: int
) -> Iterator[tuple[Aspect, float]]:
    """Yield the rates of nulls and non-finite values of a feature, held against those of `rows` rows."""
    if summary.kind.startswith("feature"):
        yield Aspect.NULLS, _rate(summary.nulls, records, _part(nulls, rows))
    if summary.kind == FEATURE_NUMBER:
        yield Aspect.NON_FINITE, _rate(summary.non_finite, records, _part(non_finite, rows))


def _of_numbers(summary: ColumnSummary, column: ReferenceColumn) -> Iterator[tuple[Aspect, float]]:
    if summary.kind == FEATURE_NUMBER:
        outside = summary.bins[0] + summary.bins[-1]
        yield Aspect.OUT_OF_RANGE, _rate(outside, summary.count, 0.0)
    if len(column.shares) - 2 >= MANY_BINS:
        scores = _scores(column.shares, column.rows)
        yield Aspect.MEAN, scores.mean.standardised(summary.bins)
        yield Aspect.SPREAD, scores.spread.standardised(summary.bins)
        return
    width = column.high - column.low
    if width > 0:
        yield Aspect.MEAN, _bounded_mean(summary, column, width)


def _of_categories(summary: ColumnSummary, column: ReferenceColumn) -> Iterator[tuple[Aspect, float]]:
    yield Aspect.UNSEEN, _rate(summary.bins[-1], summary.count, column.shares[-1])
    known = summary.count - summary.bins[-1]
    if known >= LEAST_VALUES:
        value = _mix(summary.bins[:-1], column.shares[:-1])
        if value is not None:
            yield Aspect.CATEGORIES, value


def _part(count: int, total: int) -> float:
    return count / total if total else 0.0


def _rate(count: int, total: int, expected: float) -> float:
    """Return how far a count is from an expected rate (Anscombe's arcsine, standard deviation 1)."""
    if not total:
        return 0.0
    angle = math.asin(math.sqrt(min(1.0, (count + 0.375) / (total + 0.75))))
    base = math.asin(math.sqrt(min(1.0, (expected * total + 0.375) / (total + 0.75))))
    return 2 * math.sqrt(total + 0.5) * (angle - base)


def _bounded_mean(summary: ColumnSummary, column: ReferenceColumn, width: float) -> float:
    """Return how far the mean is off, for a column of few values: as a rate between its least and greatest.

    The variance of such a column is a part of a rate's p (1 - p); that part comes from the reference.
    """
    expected = min(1.0, max(0.0, (column.mean - column.low) / width))
    seen = min(1.0, max(0.0, (summary.mean - column.low) / width))
    part = (column.stddev / width) ** 2 / (expected * (1 - expected)) if 0 < expected < 1 else 1.0
    effective = summary.count / max(part, 1e-3)
    angle = math.asin(math.sqrt((seen * effective + 0.375) / (effective + 0.75)))
    base = math.asin(math.sqrt((expected * effective + 0.375) / (effective + 0.75)))
    return 2 * math.sqrt(effective + 0.5) * (angle - base)


def _mix(counts: Sequence[int], shares: Sequence[float]) -> float | None:
    """Return X2 of the counts, made normal; bins that expect too little are taken together."""
    total, known = sum(counts), sum(shares)
    expected: list[float] = []
    seen: list[int] = []
    rare_expected, rare_seen = 0.0, 0
    for count, share in zip(counts, shares, strict=True):
        wanted = share / known * total if known else 0.0
        if wanted < _LEAST_EXPECTED:
            rare_expected, rare_seen = rare_expected + wanted, rare_seen + count
        else:
            expected.append(wanted)
            seen.append(count)
    if rare_expected >= 1.0:
        expected.append(rare_expected)
        seen.append(rare_seen)
    freedom = len(expected) - 1
    if freedom < 1:
        return None
    squares = sum((s - e) ** 2 / e for s, e in zip(seen, expected, strict=True))
    spread = 2 / (9 * freedom)
    return float(((squares / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread))


@dataclass(frozen=True, slots=True)
class _Score:
    """A number for each bin, and its mean and standard deviation under the reference's shares."""

    of_bin: tuple[float, ...]
    mean: float
    stddev: float

    def standardised(self, bins: Sequence[int]) -> float:
        total = sum(bins)
        found = sum(n * s for n, s in zip(bins, self.of_bin, strict=True)) / total
        return (found - self.mean) / self.stddev * math.sqrt(total)


@dataclass(frozen=True, slots=True)
class _Scores:
    mean: _Score
    spread: _Score


@lru_cache(maxsize=4096)
def _scores(shares: tuple[float, ...], rows: int) -> _Scores:
    """Return E[Z] and E[Z^2] in each bin of a standard normal that is cut at the same shares."""
    # Half a row for each bin, so that the bins outside the reference have a place on the normal's tails.
    padded = [share * rows + 0.5 for share in shares]
    total = sum(padded)
    weights = [p / total for p in padded]
    cuts = [-math.inf]
    for weight in weights[:-1]:
        at = (0.0 if len(cuts) == 1 else _NORMAL.cdf(cuts[-1])) + weight
        cuts.append(_NORMAL.inv_cdf(min(1 - 1e-12, max(1e-12, at))))
    cuts.append(math.inf)
    firsts, seconds = [], []
    for low, high, weight in zip(cuts, cuts[1:], weights, strict=False):
        firsts.append((_density(low) - _density(high)) / weight)
        seconds.append(1 + (_edge(low) - _edge(high)) / weight)
    return _Scores(_score(firsts, weights), _score(seconds, weights))


def _score(of_bin: Sequence[float], weights: Sequence[float]) -> _Score:
    mean = sum(s * w for s, w in zip(of_bin, weights, strict=True))
    variance = sum((s - mean) ** 2 * w for s, w in zip(of_bin, weights, strict=True))
    return _Score(tuple(of_bin), mean, math.sqrt(variance))


def _density(at: float) -> float:
    return 0.0 if math.isinf(at) else _NORMAL.pdf(at)


def _edge(at: float) -> float:
    return 0.0 if math.isinf(at) else at * _NORMAL.pdf(at)
