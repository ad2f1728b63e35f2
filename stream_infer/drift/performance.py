"""The performance of each model: metrics of every window of labels, an estimate of every one of predictions.

Three parts meet here, by model: metrics (`model_metrics`), the estimate that needs no labels (`estimate`),
and whether errors drift (`error_drift`). Which label belongs to which prediction is decided in `join`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_infer.drift.error_drift import ErrorChange, ErrorMonitor, ErrorPolicy
from stream_infer.drift.error_state import ErrorState
from stream_infer.drift.estimate import (
    Calibration,
    ConfidenceBands,
    ConfidenceWindows,
    ModelId,
    WindowConfidence,
)
from stream_infer.drift.labels import LabelWindow, Pair, Predicted
from stream_infer.drift.metric_limits import ESTIMATE, LimitCrossed, LimitedMetrics, MetricPlace
from stream_infer.drift.model_metrics import (
    ACCURACY,
    MetricValue,
    OutputMeaning,
    PairOutcome,
    confidence,
    median_delay_ms,
    metrics_of,
    pair_outcome,
)

_PREDICTIONS_PER_LABEL = 10  # there are more predictions than labels, so their windows are larger
_BASELINE_WINDOWS = 5
_CALIBRATED = 200
"""Labels behind an estimate that is held against a limit."""

OutputMeaningOf = Callable[[str], OutputMeaning]
"""The meaning of a model's output, by the digest of its package."""


@dataclass(frozen=True, slots=True)
class WindowMetric:
    """One metric of one model in one window of labels.

    `baseline` is that of its first windows, `estimate` the accuracy that the scores of these predictions
    promised, `predictions` the number of the model's predictions with a label here.
    """

    model: ModelId
    metric: str
    value: MetricValue
    baseline: float | None
    estimate: float | None
    predictions: int
    delay_p50_ms: int
    window: LabelWindow


@dataclass(frozen=True, slots=True)
class AccuracyEstimate:
    """The accuracy to expect of a window of predictions, from a calibration on so many `labels`."""

    window: WindowConfidence
    accuracy: float
    labels: int


PerformanceChange = WindowMetric | AccuracyEstimate | ErrorChange | LimitCrossed


@dataclass(slots=True)
class _Model:
    meaning: OutputMeaning
    errors: ErrorMonitor
    limited: LimitedMetrics
    calibration: Calibration = field(default_factory=Calibration)
    first_windows: dict[str, list[float]] = field(default_factory=dict)


class Performance:
    """Metrics, estimates and error drift of every model. State is small: counts, and a few recent values."""

    def __init__(
        self,
        errors: ErrorPolicy,
        meaning_of: OutputMeaningOf,
        *,
        window: int,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self._errors = errors
        self._limits = limits or {}
        self._meaning_of = meaning_of
        self._models: dict[ModelId, _Model] = {}
        self._confidence = ConfidenceWindows(window * _PREDICTIONS_PER_LABEL)
        self._changed: set[ModelId] = set()

    def predicted(
        self, log: str, offset: int, predicted: Predicted
    ) -> Iterator[AccuracyEstimate | LimitCrossed]:
        """Take the prediction at `offset` of `log`; yield the estimates of a window that is over."""
        model = ModelId(predicted.version, predicted.digest)
        probability = confidence(predicted, self._of(model).meaning)
        if probability is None:
            return
        for window in self._confidence.take(log, offset, predicted.time_ms, model, probability):
            calibration = self._of(window.model).calibration
            accuracy = calibration.expected_accuracy(window.bands)
            yield AccuracyEstimate(window, accuracy, calibration.labels)
            if calibration.labels >= _CALIBRATED:
                place = MetricPlace(window.log, window.first_offset, window.last_offset, window.time_ms)
                limited = self._of(window.model).limited
                yield from limited.take(ESTIMATE, accuracy, window.bands.total, place)
                self._changed.add(window.model)

    def closed(self, window: LabelWindow) -> Iterator[PerformanceChange]:
        """Take a window of labels; yield the metrics of each model in it, and whether its errors drift."""
        pairs: dict[ModelId, list[Pair]] = {}
        for pair in window.pairs:
            pairs.setdefault(ModelId(pair.predicted.version, pair.predicted.digest), []).append(pair)
        for model, of_model in pairs.items():
            self._changed.add(model)
            state = self._of(model)
            outcomes = [pair_outcome(pair, state.meaning) for pair in of_model]
            place = MetricPlace(window.log, window.first_offset, window.last_offset, window.time_ms)
            for change in _metrics(model, state, outcomes, window):
                yield change
                found = change.value
                yield from state.limited.take(change.metric, found.value, found.labelled, place)
            yield from state.errors.take(outcomes, window)

    def accept(self, incident_id: str) -> bool:
        """End an incident of a model's errors, which are normal from now on; return whether it was open."""
        for model, state in self._models.items():
            if state.errors.accept(incident_id) or state.limited.accept(incident_id):
                self._changed.add(model)
                return True
        return False

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that changed since the last call, by name."""
        changed, self._changed = self._changed, set()
        documents = {f"model/{model.digest}": self._document(model) for model in sorted(changed)}
        return documents | {f"promises/{log}": one for log, one in self._confidence.changed().items()}

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`, by name."""
        for key, document in documents.items():
            if key.startswith("model/"):
                model = ModelId(*document["name"])
                calibration = document["calibration"]
                self._models[model] = _Model(
                    self._meaning_of(model.digest),
                    self._monitor(model, ErrorState.from_document(document["errors"])),
                    LimitedMetrics(self._limits, model, document.get("limits")),
                    Calibration(calibration["seen"], calibration["right"]),
                    document["first"],
                )
        windows = {k.removeprefix("promises/"): d for k, d in documents.items() if k.startswith("promises/")}
        self._confidence.restore(windows)

    def _of(self, model: ModelId) -> _Model:
        if model not in self._models:
            meaning = self._meaning_of(model.digest)
            self._models[model] = _Model(meaning, self._monitor(model), LimitedMetrics(self._limits, model))
        return self._models[model]

    def _monitor(self, model: ModelId, state: ErrorState | None = None) -> ErrorMonitor:
        return ErrorMonitor(self._errors, model, state, self._meaning_of(model.digest).promise)

    def _document(self, model: ModelId) -> dict[str, Any]:
        state = self._models[model]
        return {
            "name": model,
            "errors": state.errors.to_document(),
            "calibration": {"seen": state.calibration.seen, "right": state.calibration.correct},
            "first": state.first_windows,
            "limits": state.limited.to_document(),
        }


def _metrics(
    model: ModelId, state: _Model, outcomes: Sequence[PairOutcome], window: LabelWindow
) -> Iterator[WindowMetric]:
    """Yield the metrics of a window, and learn from it."""
    estimate = _estimate(state.calibration, outcomes)
    delay = median_delay_ms(outcomes)
    for metric, value in metrics_of(outcomes, state.meaning.classes).items():
        first = state.first_windows.setdefault(metric, [])
        baseline = sum(first) / len(first) if len(first) >= _BASELINE_WINDOWS else None
        expected = estimate if metric == ACCURACY else None
        yield WindowMetric(model, metric, value, baseline, expected, len(outcomes), delay, window)
        if len(first) < _BASELINE_WINDOWS:
            first.append(value.value)
    for one in outcomes:
        if one.confidence is not None and one.correct is not None:
            state.calibration.learn(one.confidence, correct=one.correct)


def _estimate(calibration: Calibration, outcomes: Sequence[PairOutcome]) -> float | None:
    """Return the accuracy to expect of the predictions behind `outcomes`, if they have a confidence."""
    bands = ConfidenceBands()
    for one in outcomes:
        if one.confidence is not None:
            bands.add(one.confidence)
    return calibration.expected_accuracy(bands) if bands.total else None
