"""The scale of a series of z-scores: how far they differ from each other while nothing changes.

Values of windows of independent events differ by 1. Where events depend on each other (autocorrelation, runs
of one customer) a window has fewer values that count, and its z-scores differ by more. The scale is measured
over windows, so it holds for any kind of dependence, and however a stream is cut into batches.

False alarms: a value in units of the scale differs by about 1 again, for which the thresholds were fitted. A
scale that is too small by chance is what could raise one. So the first values are given to detectors when
there are enough of them to measure it, as distances from their mean, and 4 values of spread 1 are assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FIRST_VALUES = 4
_ASSUMED = 4
"""So many values of spread 1 are added to those that the scale is measured from."""
_EVIDENT = 3.0
"""A variance is evidently above 1 from so many of its standard errors on."""
_FEW = 1.5
"""A scale of f + 1 values is enlarged by 1 + 1.5 / f: about as Student's t is wider than normal."""
_FARTHEST = 4.0
"""A value that is further from the mean is left out: a change is no sign of dependence."""
_UNMEASURED, _PART = 3, 5
"""The newest values, at most a fifth, do not count: a change shall not hide itself."""


class SeriesScale:
    """The scale of the values so far, but for the newest, and the mean of the first ones."""

    def __init__(self, *, measured: bool = True) -> None:
        self._measured = measured
        self._newest: list[float] = []
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        self._left_out = 0
        self._center: float | None = None

    @property
    def value(self) -> float:
        """The standard deviation of the values; one that may be 1 by chance is shrunk towards it."""
        if not self._measured:
            return 1.0
        freedom = max(1, self._count - 1)
        variance = self._squares / freedom
        if variance > 1 + _EVIDENT * math.sqrt(2 / freedom):
            return math.sqrt(variance) * (1 + _FEW / freedom)
        return max(1.0, math.sqrt((_ASSUMED + self._squares) / (_ASSUMED + freedom)))

    def take(self, value: float) -> Sequence[float]:
        """Take the next value; return the distances from the mean in units of the scale that are ready."""
        if self._center is not None:
            scaled = (value - self._center) / self.value
            self._newest.append(value)
            while len(self._newest) > min(_UNMEASURED, (self._count + len(self._newest)) // _PART):
                self._measure(self._newest.pop(0))
            return (scaled,)
        self._newest.append(value)
        if len(self._newest) < FIRST_VALUES:
            return ()
        first, self._newest = self._newest, []
        for one in first:
            self._measure(one)
        self._center = self._mean
        return [(one - self._mean) / self.value for one in first]

    def _measure(self, value: float) -> None:
        if self._count >= FIRST_VALUES and abs(value - self._mean) > _FARTHEST * self.value:
            self._left_out += 1
            if self._left_out <= self._count:
                return
        self._count += 1
        difference = value - self._mean
        self._mean += difference / self._count
        self._squares += difference * (value - self._mean)
