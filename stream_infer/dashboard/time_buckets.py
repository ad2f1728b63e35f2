"""Sums and maxima by time, at several resolutions, in memory that does not grow.

Pure: the caller says what time it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Resolution:
    """Buckets of `width_ms` milliseconds, of which the newest `count` are kept."""

    name: str
    width_ms: int
    count: int

    @property
    def span_ms(self) -> int:
        """The time that all buckets cover, in milliseconds."""
        return self.width_ms * self.count


SPANS = (
    Resolution("15m", 5_000, 180),
    Resolution("1d", 300_000, 288),
    Resolution("7d", 3_600_000, 168),
)
"""The spans of time that the page offers."""


class TimeBuckets:
    """A ring of buckets; each holds `sums` added up and `maxima` of what was noted in its time."""

    def __init__(self, resolution: Resolution, sums: int, maxima: int = 0) -> None:
        self._resolution = resolution
        self._sums = sums
        self._starts = np.full(resolution.count, -1, np.int64)
        self._values = np.zeros((resolution.count, sums + maxima))

    def note(self, time_ms: int, sums: Sequence[float], maxima: Sequence[float] = ()) -> None:
        """Add numbers at a time. One that is older than the ring is left out."""
        row = self._row(time_ms)
        if row is None:
            return
        self._values[row, : self._sums] += sums
        if maxima:
            self._values[row, self._sums :] = np.maximum(self._values[row, self._sums :], maxima)

    def _row(self, time_ms: int) -> int | None:
        bucket = time_ms // self._resolution.width_ms
        row = int(bucket % self._resolution.count)
        if self._starts[row] > bucket:
            return None
        if self._starts[row] < bucket:
            self._starts[row] = bucket
            self._values[row] = 0.0
        return row

    def points(self, now_ms: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return start times (ms) and values (time, number) of the buckets within the span up to `now_ms`."""
        newest = now_ms // self._resolution.width_ms
        kept = np.flatnonzero(
            (self._starts > newest - self._resolution.count) & (self._starts <= newest) & (self._starts >= 0)
        )
        ordered = kept[np.argsort(self._starts[kept], kind="stable")]
        return self._starts[ordered] * self._resolution.width_ms, self._values[ordered]

    def whole_points(self, now_ms: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the same without the bucket that `now_ms` is in: its time is not over."""
        starts, values = self.points(now_ms)
        over = starts + self._resolution.width_ms <= now_ms
        return starts[over], values[over]

    def total(self, since_ms: int, now_ms: int) -> NDArray[np.float64]:
        """Return the values of all buckets that begin from `since_ms` on, added up or maximal."""
        starts, values = self.points(now_ms)
        within = values[starts >= since_ms]
        if not len(within):
            return np.zeros(self._values.shape[1])
        return np.concatenate([within[:, : self._sums].sum(axis=0), within[:, self._sums :].max(axis=0)])
