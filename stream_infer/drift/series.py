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

from stream_infer.drift.detectors import Detector, DetectorSpec, make_detector

STEPS_PER_UNIT = 1000
CLIP = 12.0
"""Standardised values are cut here: beyond it, further is not more certain, and no sum overflows."""


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
    return round(max(-CLIP, min(CLIP, value)) * STEPS_PER_UNIT)


class Series:
    """The recent values of one signal, and the detectors that have seen exactly these, in order.

    Over `limit` values the older half is dropped and the detectors begin again with the rest, so the list of
    values is the whole state: everything else is computed from it.
    """

    def __init__(
        self, specs: Sequence[DetectorSpec], *, limit: int = 128, values: Sequence[int] = ()
    ) -> None:
        self._specs = tuple(specs)
        self._limit = limit
        self._values = list(values)
        self._detectors = self._replayed()

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
        changes = [detector.update(step / STEPS_PER_UNIT) for detector in self._detectors]
        return [
            Detection(spec, detector.statistic)
            for spec, detector, change in zip(self._specs, self._detectors, changes, strict=True)
            if change
        ]

    @property
    def baseline(self) -> float:
        """The median of all values but the newest; 0.0 without values."""
        before = self._values[:-1] or self._values
        return statistics.median(before) / STEPS_PER_UNIT if before else 0.0

    def onset(self, deviation: float) -> int:
        """Return how many of the newest values are at least `deviation` from the baseline, at least 1."""
        baseline, steps = self.baseline * STEPS_PER_UNIT, deviation * STEPS_PER_UNIT
        count = 0
        for step in reversed(self._values):
            if abs(step - baseline) < steps:
                break
            count += 1
        return max(1, count)

    def _replayed(self) -> list[Detector]:
        detectors = [make_detector(spec) for spec in self._specs]
        for step in self._values:
            for detector in detectors:
                detector.update(step / STEPS_PER_UNIT)
        return detectors
