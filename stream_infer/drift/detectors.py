"""Change detectors behind one protocol. The only importer of River, which never sees a bad value.

A detector takes one finite number at a time and reports whether it sees a change. What the numbers mean is in
`zscores`, how often a detector may be wrong is in `budget`, how it is restored is in `series`.

Sources: Page-Hinkley (Page 1954), ADWIN (Bifet and Gavalda 2007), KSWIN (Raab, Heusinger and Schleif 2020),
DDM (Gama et al. 2004), EDDM (Baena-Garcia et al. 2006), FHDDM (Pesaranghader and Viktor 2016), HDDM
(Frias-Blanco et al. 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from river.drift import ADWIN, KSWIN, PageHinkley, binary
from river.stats import Mean


class Detector(Protocol):
    """Detects a change in a series of numbers. Deterministic; begins again after each change."""

    def update(self, value: float) -> bool:
        """Take the next value, which is finite; return whether there is a change."""

    @property
    def statistic(self) -> float | None:
        """The number that was compared with the threshold at the last value; None where there is none."""


class DetectorKind(StrEnum):
    """The detectors there are. The second group takes errors as 0 and 1, one for each label."""

    PAGE_HINKLEY = "PageHinkley"
    ADWIN = "ADWIN"
    KSWIN = "KSWIN"

    DDM = "DDM"
    EDDM = "EDDM"
    FHDDM = "FHDDM"
    HDDM_A = "HDDM_A"
    HDDM_W = "HDDM_W"


_INTEGERS = frozenset(
    {"min_instances", "clock", "grace_period", "min_window_length", "window_size", "stat_size", "seed",
     "warm_start", "sliding_window_size", "max_buckets"}
)  # fmt: skip

_RIVER: Mapping[DetectorKind, Callable[..., Any]] = {
    DetectorKind.PAGE_HINKLEY: PageHinkley,
    DetectorKind.ADWIN: ADWIN,
    DetectorKind.KSWIN: KSWIN,
    DetectorKind.DDM: binary.DDM,
    DetectorKind.EDDM: binary.EDDM,
    DetectorKind.FHDDM: binary.FHDDM,
    # Their names until River 0.24: HDDM_A, HDDM_W.
    DetectorKind.HDDM_A: vars(binary).get("HDDMA") or vars(binary)["HDDM_A"],
    DetectorKind.HDDM_W: vars(binary).get("HDDMW") or vars(binary)["HDDM_W"],
}


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """A detector and its parameters, under the names that River and our events use."""

    kind: DetectorKind
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def threshold(self) -> float | None:
        """The parameter that decides, where the detector has one."""
        names = ("threshold", "delta", "alpha", "drift_threshold", "drift_confidence")
        return next((self.parameters[name] for name in names if name in self.parameters), None)


class _RiverDetector:
    def __init__(self, detector: Any) -> None:  # noqa: ANN401 - River has no types
        self._detector = detector

    def update(self, value: float) -> bool:
        self._detector.update(value)
        return bool(self._detector.drift_detected)

    @property
    def statistic(self) -> float | None:
        return None


class _PageHinkleyDetector:
    """River's Page-Hinkley test, and the cumulative sums of Page (1954) beside it: River publishes none.

    `statistic` is the greater of two numbers: how far the sum of (value - mean - delta) is above its minimum,
    and how far the sum of (value - mean + delta) is below its maximum. A test holds
    `statistic > threshold` equal to River's detections.
    """

    def __init__(self, detector: Any) -> None:  # noqa: ANN401 - River has no types
        self._detector = detector
        self._reset()

    def _reset(self) -> None:
        self._mean: Any = Mean()
        self._rise, self._lowest = 0.0, math.inf
        self._fall, self._highest = 0.0, -1.0  # River's first maximum

    def update(self, value: float) -> bool:
        if self._detector.drift_detected:  # River begins again with this value, too
            self._reset()
        self._detector.update(value)
        self._mean.update(value)
        deviation = value - self._mean.get()
        delta, alpha = self._detector.delta, self._detector.alpha
        self._rise = alpha * self._rise + deviation - delta
        self._fall = alpha * self._fall + deviation + delta
        self._lowest = min(self._lowest, self._rise)
        self._highest = max(self._highest, self._fall)
        return bool(self._detector.drift_detected)

    @property
    def statistic(self) -> float | None:
        return float(max(self._rise - self._lowest, self._highest - self._fall))


def make_detector(spec: DetectorSpec) -> Detector:
    """Return a new detector. KSWIN draws at random, so it is given a seed where the spec has none."""
    parameters: dict[str, float] = {"seed": 1} if spec.kind is DetectorKind.KSWIN else {}
    parameters |= spec.parameters
    detector = _RIVER[spec.kind](
        **{name: int(value) if name in _INTEGERS else value for name, value in parameters.items()}
    )
    page_hinkley = spec.kind is DetectorKind.PAGE_HINKLEY
    return _PageHinkleyDetector(detector) if page_hinkley else _RiverDetector(detector)
