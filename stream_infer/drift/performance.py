"""How each model does: figures of every window of labels, an estimate of every window of predictions.

Figures are in `figures`, the estimate that needs no labels in `estimate`, whether errors drift in `errors`;
which label belongs to which prediction is `labels`' business. Here they meet, by model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from stream_infer.drift.error_drift import ErrorDrift, ErrorMonitor, ErrorPolicy, ErrorRecovered
from stream_infer.drift.estimate import (
    Calibration,
    ConfidenceBands,
    ConfidenceWindows,
    ModelId,
    WindowConfidence,
)
from stream_infer.drift.labels import LabelWindow, Pair, Predicted
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
_FIRST_WINDOWS = 5

OutputMeaningOf = Callable[[str], OutputMeaning]
"""What the answers of a package mean, by its digest."""


@dataclass(frozen=True, slots=True)
class WindowMetric:
    """One figure of one model in one window of labels.

    `reference` is that of its first windows, `estimate` the accuracy that was expected of these predictions
    from their scores, `predictions` how many of the model's have a label here.
    """

    model: ModelId
    metric: str
    figure: MetricValue
    reference: float | None
    estimate: float | None
    predictions: int
    delay_p50_ms: int
    window: LabelWindow


@dataclass(frozen=True, slots=True)
class AccuracyEstimate:
    """What accuracy the scores of a window of predictions promise, after so many `labels`."""

    promised: WindowConfidence
    accuracy: float
    labels: int


PerformanceChange = WindowMetric | AccuracyEstimate | ErrorDrift | ErrorRecovered


@dataclass(slots=True)
class _Model:
    answers: OutputMeaning
    errors: ErrorMonitor
    calibration: Calibration = field(default_factory=Calibration)
    first: dict[str, list[float]] = field(default_factory=dict)


class Performance:
    """Figures, estimates and error drift of every model. State is small: counts, and a few recent values."""

    def __init__(self, errors: ErrorPolicy, answers: OutputMeaningOf, *, window: int) -> None:
        self._errors = errors
        self._answers = answers
        self._models: dict[ModelId, _Model] = {}
        self._promises = ConfidenceWindows(window * _PREDICTIONS_PER_LABEL)
        self._touched: set[ModelId] = set()

    def predicted(self, log: str, offset: int, one: Predicted) -> Iterator[AccuracyEstimate]:
        """Take the prediction at `offset` of `log`; yield the estimates of a window that is over."""
        name = ModelId(one.version, one.digest)
        sure = confidence(one, self._of(name).answers)
        if sure is None:
            return
        for promised in self._promises.take(log, offset, one.time_ms, name, sure):
            calibration = self._of(promised.model).calibration
            yield AccuracyEstimate(promised, calibration.accuracy(promised.bands), calibration.labels)

    def closed(self, window: LabelWindow) -> Iterator[PerformanceChange]:
        """Take a window of labels; yield figures of each model in it, and whether errors drift."""
        pairs: dict[ModelId, list[Pair]] = {}
        for pair in window.pairs:
            pairs.setdefault(ModelId(pair.predicted.version, pair.predicted.digest), []).append(pair)
        for name, mine in pairs.items():
            of = self._of(name)
            self._touched.add(name)
            marks = [pair_outcome(pair, of.answers) for pair in mine]
            yield from self._measured(name, of, marks, window)
            yield from of.errors.take(marks, window)

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that have changed since the last call, by name."""
        touched, self._touched = self._touched, set()
        documents = {f"model/{name.digest}": self._document(name) for name in sorted(touched)}
        return documents | {f"promises/{log}": one for log, one in self._promises.changed().items()}

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`, by name."""
        for key, document in documents.items():
            if key.startswith("model/"):
                name = ModelId(*document["name"])
                errors = ErrorMonitor.from_document(document["errors"], self._errors, name)
                calibration = Calibration(**document["calibration"])
                self._models[name] = _Model(
                    self._answers(name.digest), errors, calibration, document["first"]
                )
        promises = {k.removeprefix("promises/"): d for k, d in documents.items() if k.startswith("promises/")}
        self._promises.restore(promises)

    def _of(self, name: ModelId) -> _Model:
        if name not in self._models:
            self._models[name] = _Model(self._answers(name.digest), ErrorMonitor(self._errors, name))
        return self._models[name]

    def _measured(
        self, name: ModelId, of: _Model, marks: Sequence[PairOutcome], window: LabelWindow
    ) -> Iterator[WindowMetric]:
        estimate = _estimate(of.calibration, marks)
        for metric, figure in metrics_of(marks).items():
            first = of.first.setdefault(metric, [])
            reference = sum(first) / len(first) if len(first) >= _FIRST_WINDOWS else None
            expected = estimate if metric == ACCURACY else None
            delay = median_delay_ms(marks)
            yield WindowMetric(name, metric, figure, reference, expected, len(marks), delay, window)
            if len(first) < _FIRST_WINDOWS:
                first.append(figure.value)
        for one in marks:
            if one.confidence is not None and one.right is not None:
                of.calibration.learn(one.confidence, right=one.right)

    def _document(self, name: ModelId) -> dict[str, Any]:
        of = self._models[name]
        return {
            "name": name,
            "errors": of.errors.to_document(),
            "calibration": asdict(of.calibration),
            "first": of.first,
        }


def _estimate(calibration: Calibration, marks: Sequence[PairOutcome]) -> float | None:
    """Return the accuracy to expect of the predictions behind `marks`, if their scores say anything."""
    bands = ConfidenceBands()
    for one in marks:
        if one.confidence is not None:
            bands.add(one.confidence)
    return calibration.accuracy(bands) if bands.total else None
