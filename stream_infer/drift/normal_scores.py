"""Normal scores of a reference's bins: location and spread of a sample, without a view of its distribution.

A bin gets the mean of a standard normal variable within the quantiles that bound it (van der Waerden scores),
and the mean of its square. The mean score of a sample has a variance that is known whatever the column
holds, and no single wild row can move it far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

_NORMAL = NormalDist()
_LEAST_TAIL = 1e-12


@dataclass(frozen=True, slots=True)
class BinScores:
    """A score for each bin, with mean and standard deviation of a row's score under the reference."""

    scores: tuple[float, ...]
    mean: float
    stddev: float

    def zscore(self, bins: Sequence[int]) -> float:
        """Return how far the mean score of a sample is from the reference's, in standard errors."""
        total = sum(bins)
        observed = sum(n * score for n, score in zip(bins, self.scores, strict=True)) / total
        return (observed - self.mean) / self.stddev * math.sqrt(total)


@dataclass(frozen=True, slots=True)
class NormalScores:
    """Scores for the location of a sample, and for its spread."""

    location: BinScores
    spread: BinScores


@lru_cache(maxsize=4096)
def normal_scores(shares: tuple[float, ...], rows: int) -> NormalScores:
    """Return E[Z] and E[Z^2] of a standard normal Z within each bin, cut at the shares of a reference.

    `shares` sum to 1, one for each bin in order; `rows` is the number of rows behind them.
    """
    # Half a row for each bin, so that the bins outside the reference have a place on the normal's tails.
    padded = [share * rows + 0.5 for share in shares]
    total = sum(padded)
    weights = [weight / total for weight in padded]
    cuts = _cuts(weights)
    location, spread = [], []
    for low, high, weight in zip(cuts, cuts[1:], weights, strict=False):
        location.append((_density(low) - _density(high)) / weight)
        spread.append(1 + (_weighted_density(low) - _weighted_density(high)) / weight)
    return NormalScores(_bin_scores(location, weights), _bin_scores(spread, weights))


def _cuts(weights: Sequence[float]) -> list[float]:
    """Return the quantiles that bound bins of these weights, from -infinity to infinity."""
    cuts = [-math.inf]
    for weight in weights[:-1]:
        below = (0.0 if len(cuts) == 1 else _NORMAL.cdf(cuts[-1])) + weight
        cuts.append(_NORMAL.inv_cdf(min(1 - _LEAST_TAIL, max(_LEAST_TAIL, below))))
    return [*cuts, math.inf]


def _bin_scores(scores: Sequence[float], weights: Sequence[float]) -> BinScores:
    mean = sum(score * weight for score, weight in zip(scores, weights, strict=True))
    variance = sum((score - mean) ** 2 * weight for score, weight in zip(scores, weights, strict=True))
    return BinScores(tuple(scores), mean, math.sqrt(variance))


def _density(at: float) -> float:
    return 0.0 if math.isinf(at) else _NORMAL.pdf(at)


def _weighted_density(at: float) -> float:
    return 0.0 if math.isinf(at) else at * _NORMAL.pdf(at)
