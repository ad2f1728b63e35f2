"""Whether the errors of one model drift: labelled predictions in, incidents that open and end out.

Errors are gathered into blocks of labels, the first of which are the baseline; each later block gives one
z-score for the change detectors. The DDM family sees the error of every single label, 0 or 1. The labels of
each class are tested by themselves (`class_errors`). Labels that come later than any of the baseline are
compared with those of their class: a class that is labelled later moves the rate, and the model is as it was.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stream_infer.drift.class_errors import CHANCE, ErrorsByClass, MissedClass
from stream_infer.drift.detectors import DetectorSpec
from stream_infer.drift.error_samples import ErrorSample, block_zscore, breaks_promise, is_notable, sample_of
from stream_infer.drift.error_state import ErrorState
from stream_infer.drift.estimate import ModelId
from stream_infer.drift.labels import LabelWindow
from stream_infer.drift.model_metrics import PairOutcome
from stream_infer.drift.series import Detection, Scaling, Series

_BASELINE_BLOCKS = 5
_CALM_BLOCKS = 5
_CALM = 1.0
_SETTLE_BLOCKS = 20
_LONGEST_SERIES = 2048
_ENOUGH_LABELS, _OTHERS = 200, 0.05
"""So many labels of one class are told, where the model answers another class so often."""
_LARGEST_ERROR = 1e100  # whose squares can still be added
EXACT_TEST, PROMISE = "ExactTest", "Promise"
"""The detectors: Fisher's exact test on a class, and a comparison with the performance in training."""


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """The detectors: `detectors` see each block of at least `block` labels, `label_detectors` every label."""

    detectors: Sequence[DetectorSpec]
    label_detectors: Sequence[DetectorSpec]
    block: int = 100


@dataclass(frozen=True, slots=True)
class ErrorDrift:
    """The errors of a model have changed: a detector fired at the error `error` of `labels` labels.

    Errors are rates (0 to 1) of a classifier, or of the labels of one class (`class_name`); or the median
    size, in the units of the value of a regressor. What joins an open incident
    does not open it.
    """

    incident: str
    model: ModelId
    detector: str
    parameters: Mapping[str, float]
    statistic: float | None
    threshold: float | None
    error: float
    baseline: float
    labels: int
    window: LabelWindow
    class_name: str | None = None
    opens: bool = True


@dataclass(frozen=True, slots=True)
class ErrorRecovered:
    """The errors of a model are at their baseline again, or stay at another level (`settled`).

    An incident that is settled is open, and quiet.
    """

    incident: str
    model: ModelId
    error: float
    baseline: float
    labels: int
    settled: bool
    window: LabelWindow


@dataclass(frozen=True, slots=True)
class LabelsOfOneClass:
    """All labels of a model are of class `name`, and it also answers others: for `others` of `labels`.

    Such labels say nothing of the other classes. `ended`: labels of another class have come.
    """

    model: ModelId
    name: str
    others: int
    labels: int
    window: LabelWindow
    ended: bool = False


ErrorChange = ErrorDrift | ErrorRecovered | LabelsOfOneClass


class ErrorMonitor:
    """The errors of one model over time."""

    def __init__(
        self,
        policy: ErrorPolicy,
        model: ModelId,
        state: ErrorState | None = None,
        promise: ErrorSample | None = None,
    ) -> None:
        self._policy = policy
        self._promise = promise
        self._model = model
        self._state = state or ErrorState()
        self._series, self._label_series = _new_series(policy, self._state)

    def take(self, outcomes: Sequence[PairOutcome], window: LabelWindow) -> Iterator[ErrorChange]:
        """Take the labelled predictions of `window`, in order; yield the incidents that open and end."""
        state = self._state
        wrong = [float(not one.correct) for one in outcomes if one.correct is not None]
        sizes = [one.absolute_error for one in outcomes if one.absolute_error is not None]
        here = sample_of(wrong or [min(size, _LARGEST_ERROR) for size in sizes], sizes=not wrong)
        missed, expected = self._classes(outcomes)
        yield from self._one_class(window)
        for one in missed:
            yield self._missed(one, window)
        detections = [found for error in wrong for found in self._label_series.update(error)]
        if state.baseline_blocks == _BASELINE_BLOCKS and (sizes or is_notable(here, expected[0])):
            yield from self._opened(detections, here, window)
        state.block = state.block.plus(here)
        state.expected = state.expected[0] + expected[0], state.expected[1] + expected[1]
        if self._promise is not None:
            yield from self._broken_promise(self._promise, window)
        if state.block.labels >= self._policy.block:
            yield from self._evaluated(window, rate=bool(wrong))

    def accept(self, incident_id: str) -> bool:
        """End an incident whose errors are normal from now on; return whether it is open here."""
        state = self._state
        if state.incident != incident_id:
            return False
        self._series, self._label_series = _new_series(self._policy, ErrorState())
        state.incident, state.origin, state.settled, state.accepted = None, None, False, True
        state.baseline, state.baseline_blocks, state.away = ErrorSample(), 0, []
        state.classes = ErrorsByClass()
        return True

    def to_document(self) -> Mapping[str, Any]:
        """Return the whole state as JSON values."""
        state = replace(
            self._state, values=list(self._series.values), label_errors=list(self._label_series.values)
        )
        return state.to_document()

    def _classes(self, outcomes: Sequence[PairOutcome]) -> tuple[Sequence[MissedClass], tuple[float, float]]:
        """Count labels by class; return the alarms, and the sums of the errors to expect."""
        state = self._state
        alarms: list[MissedClass] = []
        now, first = 0.0, 0.0
        if state.baseline_blocks < _BASELINE_BLOCKS and state.origin is None:
            state.longest_delay_ms = max(state.longest_delay_ms, *(one.delay_ms for one in outcomes))
        usual = state.baseline.figure, (state.origin or state.baseline).figure
        for one in outcomes:
            if one.classes is None:
                continue
            missed, true = not one.correct, one.classes[1]
            late = one.delay_ms > state.longest_delay_ms
            expected = state.classes.expected(true, missed=missed) if late else usual
            now, first = now + expected[0], first + expected[1]
            found = state.classes.take(true, missed=missed)
            alarms += [] if found is None else [found]
        return alarms, (now, first)

    def _evaluated(self, window: LabelWindow, *, rate: bool) -> Iterator[ErrorDrift | ErrorRecovered]:
        state = self._state
        block, (now, first) = state.block, state.expected
        state.block, state.expected = ErrorSample(), (0.0, 0.0)
        detections: Sequence[Detection] = ()
        if not rate and not state.baseline.sizes:  # as the first release left it
            state.baseline, state.baseline_blocks = ErrorSample(), 0
        if state.baseline_blocks < _BASELINE_BLOCKS:
            state.baseline, state.baseline_blocks = state.baseline.plus(block), state.baseline_blocks + 1
        else:
            detections = self._series.update(block_zscore(block, state.baseline, now, rate=rate))
            yield from self._opened(detections, block, window)
        if state.incident is not None:
            state.calm_blocks = 0 if detections else state.calm_blocks + 1
            away = block_zscore(block, state.origin or state.baseline, first, rate=rate)
            state.away = [*state.away[-_CALM_BLOCKS + 1 :], away]
            yield from self._ended(block, window)

    def _one_class(self, window: LabelWindow) -> Iterator[LabelsOfOneClass]:
        state = self._state
        only = state.classes.only_class
        if only is None and state.one_class is not None:
            yield LabelsOfOneClass(self._model, state.one_class, 0, 0, window, ended=True)
            state.one_class = None
        if only is None or state.one_class is not None:
            return
        name, known = only
        others, labels = known.missed + sum(known.recent), known.labels + len(known.recent)
        if labels >= _ENOUGH_LABELS and others >= _OTHERS * labels:
            state.one_class = name
            yield LabelsOfOneClass(self._model, name, others, labels, window)

    def _missed(self, found: MissedClass, window: LabelWindow) -> ErrorDrift:
        opens = self._state.incident is None
        return ErrorDrift(
            self._incident(window),
            self._model,
            EXACT_TEST,
            {"chance": CHANCE},
            found.chance,
            CHANCE,
            found.missed / found.labels,
            found.missed_before / found.labels_before,
            found.labels,
            window,
            found.name,
            opens,
        )

    def _opened(
        self, detections: Sequence[Detection], sample: ErrorSample, window: LabelWindow
    ) -> Iterator[ErrorDrift]:
        opens = self._state.incident is None
        if not detections or not (opens or self._state.settled):
            return
        spec = detections[0].spec
        yield ErrorDrift(
            self._incident(window),
            self._model,
            spec.kind,
            spec.parameters,
            detections[0].statistic,
            spec.threshold,
            sample.figure,
            self._state.baseline.figure,
            sample.labels,
            window,
            opens=opens,
        )

    def _broken_promise(self, promise: ErrorSample, window: LabelWindow) -> Iterator[ErrorDrift]:
        """Compare the first labels with the errors in training; what is promised is the level of before."""
        state = self._state
        so_far = state.baseline.plus(state.block)
        first = state.baseline_blocks < _BASELINE_BLOCKS and state.origin is None and not state.accepted
        if not first or not so_far.labels or not breaks_promise(so_far, promise):
            return
        state.origin = promise
        opens = state.incident is None
        yield ErrorDrift(
            self._incident(window),
            self._model,
            PROMISE,
            {},
            so_far.figure,
            promise.figure,
            so_far.figure,
            promise.figure,
            so_far.labels,
            window,
            opens=opens,
        )

    def _incident(self, window: LabelWindow) -> str:
        """Return the open incident, or open one."""
        state = self._state
        if state.incident is None:
            place = f"{self._model.digest}\n{window.log}\n{window.first_offset}"
            state.incident = hashlib.sha256(place.encode()).hexdigest()[:16]
        state.calm_blocks, state.settled = 0, False
        return state.incident

    def _ended(self, block: ErrorSample, window: LabelWindow) -> Iterator[ErrorRecovered]:
        state = self._state
        if state.incident is None or state.calm_blocks < _CALM_BLOCKS:
            return
        origin = state.origin or state.baseline
        back = abs(statistics.fmean(state.away)) < _CALM and not state.classes.is_missing_one
        if not back and (state.settled or state.calm_blocks < _SETTLE_BLOCKS):
            return
        # New detectors: the old ones would see the way back, or the way there, once more.
        self._series, self._label_series = _new_series(self._policy, ErrorState())
        yield ErrorRecovered(
            state.incident, self._model, block.figure, origin.figure, block.labels, not back, window
        )
        if back:
            state.incident, state.origin, state.settled = None, None, False
            state.baseline, state.baseline_blocks = origin, _BASELINE_BLOCKS
            state.classes.recover()
        else:
            state.origin, state.settled = origin, True
            state.baseline, state.baseline_blocks = ErrorSample(), 0
            state.classes.settle()


def _new_series(policy: ErrorPolicy, state: ErrorState) -> tuple[Series, Series]:
    """Return the series of blocks and of labels, which have seen the values of `state`."""
    blocks = Series(policy.detectors, values=state.values, scaling=Scaling.NONE)
    return blocks, Series(
        policy.label_detectors, limit=_LONGEST_SERIES, values=state.label_errors, scaling=Scaling.NONE
    )
