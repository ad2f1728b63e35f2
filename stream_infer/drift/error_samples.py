"""Errors of some labels, and how far they are from a baseline."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from stream_infer.drift.rates import arcsine, two_rates_zscore

_NOTABLE_ZSCORE = 3.0
_CERTAIN = 5.2
"""The z-score of a promise that is broken: one in ten million by chance."""
_MORE, _LARGER = 0.1, 1.5
"""A model is rarely as good as in training: so many more errors matter, or so much larger ones."""


class ErrorSample(NamedTuple):
    """Errors of some labels: their sum, the sum of their squares, their number; of a regressor all sizes."""

    error_sum: float = 0.0
    square_sum: float = 0.0
    labels: int = 0
    sizes: tuple[float, ...] = ()

    @property
    def figure(self) -> float:
        """The median of the sizes, or the rate: one wild error moves neither."""
        if self.sizes:
            return statistics.median(self.sizes)
        return self.error_sum / self.labels if self.labels else 0.0

    def plus(self, other: ErrorSample) -> ErrorSample:
        """Return both as one."""
        return ErrorSample(
            self.error_sum + other.error_sum,
            self.square_sum + other.square_sum,
            self.labels + other.labels,
            self.sizes + other.sizes,
        )

    def to_document(self) -> Sequence[object]:
        """Return the sample as JSON values; the first release had no sizes."""
        return [*self[:3], *([self.sizes] if self.sizes else [])]

    @staticmethod
    def from_document(document: Sequence[Any]) -> ErrorSample:
        """Return the sample that wrote `document`."""
        error_sum, square_sum, labels, *sizes = document
        return ErrorSample(error_sum, square_sum, labels, tuple(sizes[0]) if sizes else ())


def sample_of(errors: Sequence[float], *, sizes: bool = False) -> ErrorSample:
    """Return `errors` as a sample: 0 and 1, or `sizes`."""
    sums = math.fsum(errors), math.fsum(error * error for error in errors)
    return ErrorSample(*sums, len(errors), tuple(errors) if sizes else ())


def block_zscore(block: ErrorSample, baseline: ErrorSample, expected: float, *, rate: bool) -> float:
    """Return how far a block is from the baseline; a rate from the `expected` number of errors."""
    if not rate:
        return _ranks_zscore(block, baseline)
    known = expected / block.labels * baseline.labels
    return two_rates_zscore(block.error_sum, block.labels, known, baseline.labels)


def is_notable(sample: ErrorSample, expected: float) -> bool:
    """Whether a sample has more or less errors than its classes explain."""
    if not sample.labels:
        return False
    difference = arcsine(sample.error_sum, sample.labels) - arcsine(expected, sample.labels)
    return 2 * abs(difference) * math.sqrt(sample.labels) >= _NOTABLE_ZSCORE


def _ranks_zscore(block: ErrorSample, baseline: ErrorSample) -> float:
    """Return how much larger sizes are than before, whatever their distribution (Mann and Whitney 1947)."""
    before, now = np.sort(baseline.sizes), np.asarray(block.sizes)
    below = np.searchsorted(before, now, "left").sum() + np.searchsorted(before, now, "right").sum()
    count, total = len(before) * len(now), len(before) + len(now)
    _, ties = np.unique(np.concatenate([before, now]), return_counts=True)
    tied = float((ties.astype(float) ** 3 - ties).sum()) / (total * (total - 1))
    variance = count / 12 * (total + 1 - tied)
    return (float(below) / 2 - count / 2) / math.sqrt(variance) if variance > 0 else 0.0


def breaks_promise(sample: ErrorSample, promise: ErrorSample) -> bool:
    """Whether errors are more, or larger, than promised: by more than chance, and by more than matters."""
    if promise.sizes:
        matters = sample.figure >= _LARGER * promise.figure
        return bool(sample.sizes) and matters and _ranks_zscore(sample, promise) >= _CERTAIN
    more = sample.figure - promise.figure >= _MORE
    zscore = two_rates_zscore(sample.error_sum, sample.labels, promise.error_sum, promise.labels)
    return more and zscore >= _CERTAIN
