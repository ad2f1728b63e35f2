"""Whether the errors of one model drift: labelled predictions in, incidents that open and end out.

Errors are gathered into blocks of labels, the first of which are the baseline; each later block gives one
z-score for the change detectors. The DDM family sees the error of every single label, 0 or 1.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stream_infer.drift.detectors import DetectorSpec
from stream_infer.drift.estimate import ModelId
from stream_infer.drift.labels import LabelWindow
from stream_infer.drift.model_metrics import PairOutcome
from stream_infer.drift.series import CLIP, STEPS_PER_UNIT, Detection, Series

_BASELINE_BLOCKS = 5
_CALM_BLOCKS = 5
_CALM = 1.0
_SETTLE_BLOCKS = 20
_LONGEST_SERIES = 2048
_LARGEST_ERROR = 1e100  # whose squares can still be added


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """The detectors: `detectors` see each block of at least `block` labels, `label_detectors` every label."""

    detectors: Sequence[DetectorSpec]
    label_detectors: Sequence[DetectorSpec]
    block: int = 100


@dataclass(frozen=True, slots=True)
class ErrorDrift:
    """The errors of a model have changed: a detector fired at the mean error `error` of `labels` labels.

    Errors are rates (0 to 1) of a classifier, sizes in the units of the value of a regressor.
    """

    incident: str
    model: ModelId
    detection: Detection
    error: float
    baseline: float
    labels: int
    window: LabelWindow


@dataclass(frozen=True, slots=True)
class ErrorRecovered:
    """The errors of a model are at their baseline again, or stay at their new level (`settled`)."""

    incident: str
    model: ModelId
    error: float
    baseline: float
    labels: int
    settled: bool
    window: LabelWindow


class ErrorSample(NamedTuple):
    """Errors of some labels: their sum, the sum of their squares, and their number."""

    error_sum: float = 0.0
    square_sum: float = 0.0
    labels: int = 0

    @property
    def mean(self) -> float:
        """The mean error: a rate where errors are 0 and 1."""
        return self.error_sum / self.labels if self.labels else 0.0

    def plus(self, other: ErrorSample) -> ErrorSample:
        """Return both as one."""
        return ErrorSample(
            self.error_sum + other.error_sum,
            self.square_sum + other.square_sum,
            self.labels + other.labels,
        )


@dataclass(slots=True)
class ErrorState:
    """The stored state of one model's errors: the open block, the baseline, and what detectors have seen.

    `values` and `label_errors` are in thousandths. `calm_blocks` counts blocks since a detector last fired.
    """

    block: ErrorSample = field(default_factory=ErrorSample)
    baseline: ErrorSample = field(default_factory=ErrorSample)
    baseline_blocks: int = 0
    values: list[int] = field(default_factory=list)
    label_errors: list[int] = field(default_factory=list)
    incident: str | None = None
    calm_blocks: int = 0


class ErrorMonitor:
    """The errors of one model over time."""

    def __init__(self, policy: ErrorPolicy, model: ModelId, state: ErrorState | None = None) -> None:
        self._policy = policy
        self._model = model
        self._state = state or ErrorState()
        self._series = Series(policy.detectors, values=self._state.values)
        self._label_series = Series(
            policy.label_detectors, limit=_LONGEST_SERIES, values=self._state.label_errors
        )

    def take(
        self, outcomes: Sequence[PairOutcome], window: LabelWindow
    ) -> Iterator[ErrorDrift | ErrorRecovered]:
        """Take the labelled predictions of `window`, in order; yield the incidents that open and end."""
        state = self._state
        wrong = [float(not one.correct) for one in outcomes if one.correct is not None]
        sizes = [one.absolute_error for one in outcomes if one.absolute_error is not None]
        here = _sample(wrong or [min(size, _LARGEST_ERROR) for size in sizes])
        detections = [found for error in wrong for found in self._label_series.update(error)]
        if detections and state.baseline_blocks == _BASELINE_BLOCKS:
            yield from self._opened(detections, here, window)
        state.block = state.block.plus(here)
        if state.block.labels >= self._policy.block:
            block, state.block = state.block, ErrorSample()
            yield from self._evaluated(block, window, rate=bool(wrong))

    def to_document(self) -> Mapping[str, Any]:
        """Return the whole state as JSON values."""
        state = self._state
        return {
            "lot": state.block,
            "first": state.baseline,
            "first_lots": state.baseline_blocks,
            "values": list(self._series.values),
            "bits": list(self._label_series.values),
            "incident": state.incident,
            "alarmed": state.calm_blocks,
        }

    @staticmethod
    def from_document(document: Mapping[str, Any], policy: ErrorPolicy, model: ModelId) -> ErrorMonitor:
        """Return the monitor that wrote `document`."""
        state = ErrorState(
            block=ErrorSample(*document["lot"]),
            baseline=ErrorSample(*document["first"]),
            baseline_blocks=document["first_lots"],
            values=document["values"],
            label_errors=document["bits"],
            incident=document["incident"],
            calm_blocks=document["alarmed"],
        )
        return ErrorMonitor(policy, model, state)

    def _evaluated(
        self, block: ErrorSample, window: LabelWindow, *, rate: bool
    ) -> Iterator[ErrorDrift | ErrorRecovered]:
        state = self._state
        if state.baseline_blocks < _BASELINE_BLOCKS:
            state.baseline, state.baseline_blocks = state.baseline.plus(block), state.baseline_blocks + 1
            return
        value = _rate_zscore(block, state.baseline) if rate else _mean_zscore(block, state.baseline)
        detections = self._series.update(value)
        yield from self._opened(detections, block, window)
        if state.incident is not None:
            state.calm_blocks = 0 if detections else state.calm_blocks + 1
            yield from self._ended(block, window)

    def _opened(
        self, detections: Sequence[Detection], sample: ErrorSample, window: LabelWindow
    ) -> Iterator[ErrorDrift]:
        state = self._state
        if not detections or state.incident is not None:
            return
        place = f"{self._model.digest}\n{window.log}\n{window.first_offset}"
        state.incident, state.calm_blocks = hashlib.sha256(place.encode()).hexdigest()[:16], 0
        baseline = state.baseline.mean
        yield ErrorDrift(
            state.incident, self._model, detections[0], sample.mean, baseline, sample.labels, window
        )

    def _ended(self, block: ErrorSample, window: LabelWindow) -> Iterator[ErrorRecovered]:
        state = self._state
        if state.incident is None or state.calm_blocks < _CALM_BLOCKS:
            return
        recent = statistics.fmean(self._series.values[-_CALM_BLOCKS:])
        settled = abs(recent) >= _CALM * STEPS_PER_UNIT
        if settled and state.calm_blocks < _SETTLE_BLOCKS:
            return
        incident, baseline = state.incident, state.baseline.mean
        state.incident = None
        if settled:
            state.baseline, state.baseline_blocks = ErrorSample(), 0
        # New detectors: the old ones would see the way back, or the way there, once more.
        self._series = Series(self._policy.detectors)
        self._label_series = Series(self._policy.label_detectors, limit=_LONGEST_SERIES)
        yield ErrorRecovered(incident, self._model, block.mean, baseline, block.labels, settled, window)


def _sample(errors: Sequence[float]) -> ErrorSample:
    return ErrorSample(math.fsum(errors), math.fsum(error * error for error in errors), len(errors))


def _rate_zscore(block: ErrorSample, baseline: ErrorSample) -> float:
    """Return how many standard deviations a rate is from the baseline, whatever the rate (Anscombe 1948)."""
    difference = _arcsine(block) - _arcsine(baseline)
    return 2 * difference / math.sqrt(1 / block.labels + 1 / baseline.labels)


def _arcsine(sample: ErrorSample) -> float:
    return math.asin(math.sqrt((sample.error_sum + 0.375) / (sample.labels + 0.75)))


def _mean_zscore(block: ErrorSample, baseline: ErrorSample) -> float:
    """Return how many standard errors a mean is from the baseline."""
    variance = max(0.0, baseline.square_sum / baseline.labels - baseline.mean**2)
    standard_error = math.sqrt(variance * (1 / block.labels + 1 / baseline.labels))
    difference = block.mean - baseline.mean
    if standard_error > 0:
        return difference / standard_error
    return math.copysign(CLIP, difference) if difference else 0.0
