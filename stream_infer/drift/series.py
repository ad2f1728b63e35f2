"""The recent values of one signal and the detectors that have seen them: bounded, and restored exactly.

Restoring: River's detectors persist as pickles only (ADWIN's state is opaque bytes of its Rust core). A state
topic that others can write to must not hold pickles, so no state of River's is stored. A detector that is
given the same values again is the same detector, so `Series` keeps the values (a bounded list of small
integers), which survives other versions of River too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from stream_infer.drift.detectors import Detector, DetectorSpec, make_detector
from stream_infer.drift.series_scale import SeriesScale

STEPS_PER_UNIT = 1000
CLIP = 12.0
"""Detectors see standardised values up to here: beyond it, further is not more certain."""
LARGEST = 10_000.0
"""Values are kept up to here, so that a change from large to larger is known."""
ORIGINAL = (0.0, 1.0)
"""Centre and spread of standardised values, before someone accepts others."""
_ENOUGH, _WIDER = 10, 1.3
"""A new normal is learned from so many values, whose spread is taken for so much wider: they are few."""
_FEW = 8
_UNKNOWN_SPREAD = 2.0
"""Values differ by 1 while they are independent; of a few it is not known that they are."""
_RISE = 3.0


class Scaling(StrEnum):
    """How detectors see values: as they are, from the mean of the first, or in units of their scale too."""

    NONE = "none"
    CENTERED = "centered"
    MEASURED = "measured"


class SeriesChange(NamedTuple):
    """The change that a series shows best: median and spread of the values before, mean and number since."""

    before: float
    spread: float
    length: int
    level: float
    newest: float

    @property
    def is_rise(self) -> bool:
        """Whether the level is above that of before, and above 0, by more than chance."""
        allowed = max(self.before, 0.0)
        rise = max((self.level - allowed) * math.sqrt(self.length), self.newest - allowed)
        return rise >= _RISE and self.newest >= self.level - _RISE * self.spread


@dataclass(frozen=True, slots=True)
class Detection:
    """A change that a detector sees, and the detector's statistic where it has one."""

    spec: DetectorSpec
    statistic: float | None


def to_steps(value: float) -> int | None:
    """Return `value` in thousandths, or None for a value that no detector may see.

    One NaN mutes ADWIN, PageHinkley, DDM and HDDM for ever, and 1e308 makes PageHinkley fire. Thousandths,
    because frames merged in another order differ in the last bits, and alarms must not.
    """
    if not math.isfinite(value):
        return None
    return round(max(-LARGEST, min(LARGEST, value)) * STEPS_PER_UNIT)


class Series:
    """The recent values of one signal, and the detectors that have seen exactly these, in order.

    After `accept` detectors see values relative to those of a new normal: its centre and its spread, in
    `normal`. Until enough of it is known, `normal` is empty and they see none.

    Over `limit` values the older half is dropped and the detectors begin again with the rest, so the list of
    values is the whole state: everything else is computed from it. Detectors see values as `scaling` says.
    """

    def __init__(
        self,
        specs: Sequence[DetectorSpec],
        *,
        limit: int = 128,
        values: Sequence[int] = (),
        normal: Sequence[float] = ORIGINAL,
        scaling: Scaling = Scaling.MEASURED,
    ) -> None:
        self._specs = tuple(specs)
        self._limit = limit
        self._values = list(values)
        self.normal = tuple(normal)
        self._scaling = scaling
        self._detectors = self._replayed()

    @property
    def scale(self) -> float:
        """How far values differ from each other: 1.0 where events are independent, more where they are not.

        Its square is the number of sampled values for each one that counts.
        """
        return self._scale.value

    @property
    def values(self) -> Sequence[int]:
        """The values in thousandths, the newest last: the whole state."""
        return self._values

    @property
    def specs(self) -> Sequence[DetectorSpec]:
        """The detectors of this series."""
        return self._specs

    def update(self, value: float) -> Sequence[Detection]:
        """Take `value` unless it is not finite; return the changes that detectors see with it."""
        step = to_steps(value)
        if step is None:
            return ()
        if len(self._values) >= self._limit:
            self._values = self._values[-self._limit // 2 :]
            self._detectors = self._replayed()
        self._values.append(step)
        if not self.normal:
            self._learn_normal()
            return ()
        ready = self._ready(step)
        changes = [[detector.update(seen) for seen in ready] for detector in self._detectors]
        return [
            Detection(spec, detector.statistic)
            for spec, detector, change in zip(self._specs, self._detectors, changes, strict=True)
            if any(change)
        ]

    def restart(self, kept: int, forgotten: int | None = None) -> None:
        """Begin again without the `forgotten` values before the newest `kept`, or without all before them."""
        before = [] if forgotten is None else self._values[: max(0, len(self._values) - kept - forgotten)]
        self._values = before + self._values[-kept:]
        self._detectors = self._replayed()

    def accept(self, kept: int) -> None:
        """Begin again with the newest `kept` values alone, as the new normal."""
        self._values = self._values[-kept:]
        self.normal = ()
        self._learn_normal()

    def change(self) -> SeriesChange:
        """Return the change up to the newest value that divides the series best (least squares).

        The values since are on the side of the newest one; those before it are the baseline.
        """
        seen = [self._seen(step) for step in self._values]
        best, at = 0.0, max(0, len(seen) - 1)
        total, sum_before = math.fsum(seen), 0.0
        for count, value in enumerate(seen[:-1], start=1):
            sum_before += value
            rest = len(seen) - count
            step = (total - sum_before) / rest - sum_before / count
            gain = step * step * count * rest
            if gain > best and step * (seen[-1] - sum_before / count) > 0 and _lasts(seen, count, step):
                best, at = gain, count
        before = [step / STEPS_PER_UNIT for step in self._values[:at]]
        known = at >= _FEW
        spread = statistics.pstdev(seen[:at]) if known else _UNKNOWN_SPREAD
        spread = max(1.0, spread) * (self.normal[1] if self.normal else 1.0)
        centre, unit = self.normal or ORIGINAL
        level, newest = (centre + unit * one for one in (statistics.fmean(seen[at:]), seen[-1]))
        return SeriesChange(
            statistics.median(before) if before else 0.0, spread, len(seen) - at, level, newest
        )

    def _replayed(self) -> list[Detector]:
        detectors = [make_detector(spec) for spec in self._specs]
        self._scale = SeriesScale(measured=self._scaling is Scaling.MEASURED)
        for step in self._values if self.normal else ():
            for seen in self._ready(step):
                for detector in detectors:
                    detector.update(seen)
        return detectors

    def _ready(self, step: int) -> Sequence[float]:
        """Take a value; return what detectors see next: nothing, or several, while it is the first ones."""
        if self._scaling is Scaling.NONE:
            return (self._seen(step),)
        return [_clipped(one) for one in self._scale.take(_standardised(step, self.normal))]

    def _seen(self, step: int) -> float:
        return _clipped(_standardised(step, self.normal))

    def _learn_normal(self) -> None:
        """Learn the new normal where there are enough values of it, and begin the detectors with them."""
        if len(self._values) >= _ENOUGH:
            units = [step / STEPS_PER_UNIT for step in self._values]
            spread = max(1.0, _WIDER * statistics.pstdev(units))
            self.normal = round(statistics.median(units), 3), round(spread, 3)
        self._detectors = self._replayed()


def _clipped(value: float) -> float:
    return max(-CLIP, min(CLIP, value))


def _standardised(step: int, normal: Sequence[float]) -> float:
    centre, spread = normal or ORIGINAL
    return (step / STEPS_PER_UNIT - centre) / spread


def _lasts(seen: Sequence[float], count: int, step: float) -> bool:
    """Whether most values after the first `count` are on the far side of the half of `step`."""
    middle = math.fsum(seen[:count]) / count + step / 2
    after = seen[count:]
    return 2 * sum((value - middle) * step > 0 for value in after) > len(after)
