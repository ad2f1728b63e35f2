"""Change detectors behind one protocol. The only importer of River, which never sees a bad value.

A detector takes one finite number at a time and says whether it sees a change. What the numbers mean is in
`standard`, how often a detector may be wrong is in `budget`.

Restoring: River's detectors persist as pickles only (ADWIN's state is opaque bytes of its Rust core). A
state topic that could be written by others must hold none, so nothing of River's is stored at all. Feeding
the same values again gives the same detector, so `series` keeps the values (a bounded list of small
integers), which survives other versions of River too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from river.drift import ADWIN, KSWIN, PageHinkley
from river.drift.binary import DDM, EDDM, FHDDM, HDDMA, HDDMW


class Detector(Protocol):
    """Says whether a series of numbers has changed. Deterministic; begins again after each change."""

    def update(self, value: float) -> bool:
        """Take the next value, which is finite; return whether there is a change."""

    @property
    def statistic(self) -> float | None:
        """What was compared with the threshold at the last value, where the detector has such a number."""


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

_MAKERS: Mapping[DetectorKind, Callable[..., Any]] = {
    DetectorKind.PAGE_HINKLEY: PageHinkley,
    DetectorKind.ADWIN: ADWIN,
    DetectorKind.KSWIN: KSWIN,
    DetectorKind.DDM: DDM,
    DetectorKind.EDDM: EDDM,
    DetectorKind.FHDDM: FHDDM,
    DetectorKind.HDDM_A: HDDMA,
    DetectorKind.HDDM_W: HDDMW,
}


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """A detector and its parameters, as an event names them."""

    kind: DetectorKind
    parameters: Mapping[str, float] = field(default_factory=dict)

    @property
    def threshold(self) -> float | None:
        """The parameter that decides, where the detector has one."""
        names = ("threshold", "delta", "alpha", "drift_threshold", "drift_confidence")
        return next((self.parameters[name] for name in names if name in self.parameters), None)


@dataclass(frozen=True, slots=True)
class Detection:
    """A detector that sees a change, and its statistic where it has one."""

    spec: DetectorSpec
    statistic: float | None


class _River:
    __slots__ = ("_detector",)

    def __init__(self, detector: Any) -> None:  # noqa: ANN401 - River has no types
        self._detector = detector

    def update(self, value: float) -> bool:
        self._detector.update(value)
        return bool(self._detector.drift_detected)

    @property
    def statistic(self) -> float | None:
        if not isinstance(self._detector, PageHinkley):
            return None
        sums = vars(self._detector)  # River shows none of its statistics
        up = sums["_sum_increase"] - sums["_min_increase"]
        return float(max(up, sums["_max_decrease"] - sums["_sum_decrease"]))


def make_detector(spec: DetectorSpec) -> Detector:
    """Return a new detector. KSWIN draws at random, so it is given a seed where the spec has none."""
    parameters: dict[str, float] = {"seed": 1} if spec.kind is DetectorKind.KSWIN else {}
    parameters |= spec.parameters
    return _River(
        _MAKERS[spec.kind](
            **{name: int(value) if name in _INTEGERS else value for name, value in parameters.items()}
        )
    )


STEPS_PER_UNIT = 1000
CLIP = 12.0
"""Standardised values are cut here: beyond it, further is not more certain, and no sum overflows."""


def admitted(value: float) -> int | None:
    """Return `value` in thousandths, or None for what no detector may see.

    One NaN mutes ADWIN, PageHinkley, DDM and HDDM for ever, and 1e308 makes PageHinkley fire. Thousandths,
    because frames merged in another order differ in the last bits, and alarms must not.
    """
    if not math.isfinite(value):
        return None
    return round(max(-CLIP, min(CLIP, value)) * STEPS_PER_UNIT)


class Series:
    """The recent values of one signal, and the detectors that have seen exactly these, in order.

    Over `limit` values the older half is dropped and the detectors begin again with the rest, so the state is
    the list of values: bounded, and enough to make everything else anew.
    """

    def __init__(
        self, specs: Sequence[DetectorSpec], *, limit: int = 128, values: Sequence[int] = ()
    ) -> None:
        self._specs = tuple(specs)
        self._limit = limit
        self._values = list(values)
        self._detectors = self._fed()

    @property
    def values(self) -> Sequence[int]:
        """The values in thousandths, the newest last: the whole state."""
        return self._values

    @property
    def specs(self) -> Sequence[DetectorSpec]:
        """What watches this series."""
        return self._specs

    def update(self, value: float) -> Sequence[Detection]:
        """Take `value` if it may be taken; return who sees a change."""
        step = admitted(value)
        if step is None:
            return ()
        if len(self._values) >= self._limit:
            self._values = self._values[-self._limit // 2 :]
            self._detectors = self._fed()
        self._values.append(step)
        fired = [one.update(step / STEPS_PER_UNIT) for one in self._detectors]
        return [
            Detection(spec, one.statistic)
            for spec, one, change in zip(self._specs, self._detectors, fired, strict=True)
            if change
        ]

    @property
    def baseline(self) -> float:
        """The usual value: the median of all but the newest."""
        before = self._values[:-1] or self._values
        return statistics.median(before) / STEPS_PER_UNIT if before else 0.0

    @property
    def mean(self) -> float:
        """The mean of all values."""
        return statistics.fmean(self._values) / STEPS_PER_UNIT if self._values else 0.0

    def onset(self, apart: float) -> int:
        """Return how many of the newest values are at least `apart` from the usual one, at least 1."""
        usual, steps = self.baseline * STEPS_PER_UNIT, apart * STEPS_PER_UNIT
        count = 0
        for step in reversed(self._values):
            if abs(step - usual) < steps:
                break
            count += 1
        return max(1, count)

    def _fed(self) -> list[Detector]:
        detectors = [make_detector(spec) for spec in self._specs]
        for step in self._values:
            for one in detectors:
                one.update(step / STEPS_PER_UNIT)
        return detectors
