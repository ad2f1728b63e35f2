"""Whether the errors of one model drift: labelled predictions in, incidents that open and end out.

Errors are gathered into lots, the first of which say what is usual; each later one gives one standardised
value for the change detectors. The DDM family sees every single label that was right or wrong.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from stream_infer.drift.detectors import CLIP, STEPS_PER_UNIT, Detection, DetectorSpec, Series
from stream_infer.drift.estimate import ModelId
from stream_infer.drift.labels import LabelWindow
from stream_infer.drift.model_metrics import PairOutcome

_FIRST_LOTS = 5
_CALM_LOTS = 5
_CALM = 1.0
_SETTLE_LOTS = 20
_LONGEST_BITS = 2048
_LARGEST = 1e100  # of which the squares can still be added


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """Who watches: `detectors` each lot of at least `lot` labels, `bit_detectors` every label."""

    detectors: Sequence[DetectorSpec]
    bit_detectors: Sequence[DetectorSpec]
    lot: int = 100


@dataclass(frozen=True, slots=True)
class ErrorDrift:
    """The errors of a model have changed: a detector fired on `rate`, over `sample` labels."""

    incident: str
    model: ModelId
    fired: Detection
    rate: float
    usual: float
    sample: int
    window: LabelWindow


@dataclass(frozen=True, slots=True)
class ErrorRecovered:
    """The errors of a model are what they were, or stay at what they became (`settled`)."""

    incident: str
    model: ModelId
    rate: float
    usual: float
    sample: int
    settled: bool
    window: LabelWindow


class ErrorSample(NamedTuple):
    """Some errors: their sum, the sum of their squares, and how many labels they are of."""

    total: float = 0.0
    squares: float = 0.0
    labels: int = 0

    @property
    def mean(self) -> float:
        """The mean error: a rate where errors are 0 and 1."""
        return self.total / self.labels if self.labels else 0.0

    def plus(self, other: ErrorSample) -> ErrorSample:
        """Return both as one."""
        return ErrorSample(self.total + other.total, self.squares + other.squares, self.labels + other.labels)


@dataclass(slots=True)
class ErrorState:
    """What is stored of one model's errors: the lot under way, the first ones, what detectors have seen.

    `alarmed` counts lots since a detector last fired.
    """

    lot: ErrorSample = field(default_factory=ErrorSample)
    first: ErrorSample = field(default_factory=ErrorSample)
    first_lots: int = 0
    values: list[int] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)
    incident: str | None = None
    alarmed: int = 0


class ErrorMonitor:
    """The course of one model's errors."""

    def __init__(self, policy: ErrorPolicy, model: ModelId, state: ErrorState | None = None) -> None:
        self._policy = policy
        self._model = model
        self._state = state or ErrorState()
        self._series = Series(policy.detectors, values=self._state.values)
        self._bits = Series(policy.bit_detectors, limit=_LONGEST_BITS, values=self._state.bits)

    def take(
        self, marks: Sequence[PairOutcome], window: LabelWindow
    ) -> Iterator[ErrorDrift | ErrorRecovered]:
        """Take the labelled predictions of `window`, in order; yield what opens and what ends."""
        state = self._state
        wrong = [float(not one.right) for one in marks if one.right is not None]
        errors = wrong or [min(one.apart, _LARGEST) for one in marks if one.apart is not None]
        here = _lot(errors)
        fired = [found for error in wrong for found in self._bits.update(error)]
        if fired and state.first_lots == _FIRST_LOTS:
            yield from self._opened(fired, here, window)
        state.lot = state.lot.plus(here)
        if state.lot.labels >= self._policy.lot:
            lot, state.lot = state.lot, ErrorSample()
            yield from self._looked(lot, window, rate=bool(wrong))

    def to_document(self) -> Mapping[str, Any]:
        """Return the whole state."""
        self._state.values, self._state.bits = list(self._series.values), list(self._bits.values)
        return asdict(self._state)

    @staticmethod
    def from_document(document: Mapping[str, Any], policy: ErrorPolicy, model: ModelId) -> ErrorMonitor:
        """Return what `to_document` was called on."""
        lots = {"lot": ErrorSample(*document["lot"]), "first": ErrorSample(*document["first"])}
        return ErrorMonitor(policy, model, ErrorState(**{**document, **lots}))

    def _looked(
        self, lot: ErrorSample, window: LabelWindow, *, rate: bool
    ) -> Iterator[ErrorDrift | ErrorRecovered]:
        state = self._state
        if state.first_lots < _FIRST_LOTS:
            state.first, state.first_lots = state.first.plus(lot), state.first_lots + 1
            return
        value = _rate_value(lot, state.first) if rate else _size_value(lot, state.first)
        fired = self._series.update(value)
        yield from self._opened(fired, lot, window)
        if state.incident is not None:
            state.alarmed = 0 if fired else state.alarmed + 1
            yield from self._ended(lot, window)

    def _opened(
        self, fired: Sequence[Detection], lot: ErrorSample, window: LabelWindow
    ) -> Iterator[ErrorDrift]:
        state = self._state
        if not fired or state.incident is not None:
            return
        place = f"{self._model.digest}\n{window.log}\n{window.first_offset}"
        state.incident, state.alarmed = hashlib.sha256(place.encode()).hexdigest()[:16], 0
        usual = state.first.mean
        yield ErrorDrift(state.incident, self._model, fired[0], lot.mean, usual, lot.labels, window)

    def _ended(self, lot: ErrorSample, window: LabelWindow) -> Iterator[ErrorRecovered]:
        state = self._state
        if state.incident is None or state.alarmed < _CALM_LOTS:
            return
        back = abs(statistics.fmean(self._series.values[-_CALM_LOTS:])) < _CALM * STEPS_PER_UNIT
        if not back and state.alarmed < _SETTLE_LOTS:
            return
        incident, usual = state.incident, state.first.mean
        state.incident = None
        if not back:
            state.first, state.first_lots = ErrorSample(), 0
        self._series, self._bits = self._fresh()  # they would find the way back, or the way there, once more
        yield ErrorRecovered(incident, self._model, lot.mean, usual, lot.labels, not back, window)

    def _fresh(self) -> tuple[Series, Series]:
        return Series(self._policy.detectors), Series(self._policy.bit_detectors, limit=_LONGEST_BITS)


def _lot(errors: Sequence[float]) -> ErrorSample:
    return ErrorSample(math.fsum(errors), math.fsum(error * error for error in errors), len(errors))


def _rate_value(lot: ErrorSample, first: ErrorSample) -> float:
    """Return how many standard deviations a rate is from the usual one, whatever the rate."""
    apart = _angle(lot) - _angle(first)
    return 2 * apart / math.sqrt(1 / lot.labels + 1 / first.labels)


def _angle(lot: ErrorSample) -> float:
    return math.asin(math.sqrt((lot.total + 0.375) / (lot.labels + 0.75)))


def _size_value(lot: ErrorSample, first: ErrorSample) -> float:
    """Return how many standard errors a mean is from the usual one."""
    variance = max(0.0, first.squares / first.labels - first.mean**2)
    spread = math.sqrt(variance * (1 / lot.labels + 1 / first.labels))
    apart = lot.mean - first.mean
    return apart / spread if spread > 0 else math.copysign(CLIP, apart) if apart else 0.0
