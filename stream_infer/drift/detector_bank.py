"""The detectors of one stream, window by window: a series of z-scores for each signal, and their alarms.

The state is small and JSON: recent z-scores, the first windows, the rows pooled for PSI and KS. How alarms
become incidents is in `incidents`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_infer.drift.alarms import Alarm, WindowResult
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.baseline import BaselineLearner
from stream_infer.drift.budget import AlarmBudget, change_detectors
from stream_infer.drift.detectors import DetectorSpec
from stream_infer.drift.frames import FEATURE_CATEGORY, FEATURE_NUMBER, OUTPUT_NUMBER, ObservationFrame
from stream_infer.drift.reference import Reference
from stream_infer.drift.reference_comparison import ReferenceComparison
from stream_infer.drift.series import Series
from stream_infer.drift.zscores import zscores

_SIGNALS_OF = {FEATURE_NUMBER: 6, FEATURE_CATEGORY: 4, OUTPUT_NUMBER: 3}
_ONSET_DEVIATION = 2.0
_REMEMBERED_WINDOWS = 128


@dataclass(frozen=True, slots=True)
class DetectionPolicy:
    """Which detectors see the signals, and how often they may raise a false alarm.

    `detectors` makes those of one signal from its run length. The first `first_windows` windows of a stream
    are the baseline of columns without a reference. `compare` names the distances from the training data
    ("PSI", "KS").
    """

    budget: AlarmBudget = field(default_factory=AlarmBudget)
    detectors: Callable[[float], Sequence[DetectorSpec]] = change_detectors
    first_windows: int = 8
    compare: tuple[str, ...] = ("PSI",)


class DetectorBank:
    """The detectors of one stream."""

    def __init__(self, policy: DetectionPolicy, reference: Reference | None) -> None:
        self._policy = policy
        self._reference = reference
        self._run_length = 0.0
        self._windows = 0
        self._first_offsets: list[int] = []
        self._baseline = BaselineLearner(policy.first_windows)
        self._comparison = ReferenceComparison(reference, policy.compare)
        self._series: dict[Signal, Series] = {}

    @property
    def learned(self) -> ObservationFrame | None:
        """The first windows merged: the baseline of columns that have no reference; None before it."""
        learned = self._baseline.learned
        return None if learned is None else learned.frame

    @property
    def last_offset(self) -> int:
        """The first offset of the newest window that was evaluated; -1 before the first."""
        return self._first_offsets[-1] if self._first_offsets else -1

    @property
    def columns(self) -> Collection[tuple[str, str]]:
        """The columns with a series, by kind and name."""
        return dict.fromkeys((signal.kind, signal.name) for signal in self._series)

    def evaluate(self, window: ObservationFrame) -> WindowResult:
        """Take the next window; return the alarms that it raises.

        1. compute z-scores; 2. give each to the detectors of its signal; 3. with enough rows pooled, compare
        with the training data; 4. learn the baseline, while these are the first windows.
        """
        self._begin(window)
        alarms: list[Alarm] = []
        candidates: list[Alarm] = []
        values: dict[Signal, float] = {}
        for score in zscores(window, self._reference, self._baseline.learned):
            values[score.signal] = score.value
            raised, candidate = self._detect(score.signal, score.value)
            alarms += raised
            candidates.append(candidate)
        for signal, value, alarm in self._comparison.add(window, chance=0.5 / self._run_length):
            values[signal] = max(value, values.get(signal, 0.0))
            alarms += [] if alarm is None else [alarm]
        self._baseline.add(window)
        return WindowResult(self._windows, window, alarms, values, candidates)

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values, but for the series: each column has a document of its own."""
        return {
            "run_length": self._run_length,
            "looks": self._windows,
            "firsts": list(self._first_offsets),
            **self._baseline.to_document(),
            **self._comparison.to_document(),
        }

    def column_document(self, kind: str, name: str) -> dict[str, object]:
        """Return the series of one column as JSON values."""
        of_column = {s.aspect: list(v.values) for s, v in self._series.items() if s[:2] == (kind, name)}
        return {"column": [kind, name], "series": of_column}

    def restore_column(self, document: Mapping[str, Any]) -> None:
        """Take over the series that `column_document` wrote."""
        kind, name = document["column"]
        specs = self._policy.detectors(self._run_length)
        for aspect, values in document["series"].items():
            self._series[Signal(kind, name, Aspect(aspect))] = Series(specs, values=values)

    @staticmethod
    def from_document(
        document: Mapping[str, Any], policy: DetectionPolicy, reference: Reference | None
    ) -> DetectorBank:
        """Return the bank that wrote `document`."""
        bank = DetectorBank(policy, reference)
        bank._run_length = document["run_length"]
        bank._windows = document["looks"]
        bank._first_offsets = list(document["firsts"])
        bank._baseline.restore(document)
        bank._comparison.restore(document)
        return bank

    def _begin(self, window: ObservationFrame) -> None:
        if not self._run_length:
            signals = 1 + sum(_SIGNALS_OF.get(summary.kind, 2) for summary in window.signals)
            budget = self._policy.budget
            self._run_length = budget.run_length(signals=signals, window_events=window.records)
        self._windows += 1
        earlier = self._first_offsets[-_REMEMBERED_WINDOWS + 1 :]
        self._first_offsets = [*earlier, window.window_first_offset]

    def _detect(self, signal: Signal, value: float) -> tuple[Sequence[Alarm], Alarm]:
        """Return the alarms that `value` raises, and the signal's candidate."""
        series = self._series.get(signal)
        if series is None:
            series = self._series[signal] = Series(self._policy.detectors(self._run_length))
        detections = series.update(value)
        onset = min(len(self._first_offsets), series.onset(_ONSET_DEVIATION))
        baseline, since = series.baseline, self._first_offsets[-onset]

        def alarm(spec: DetectorSpec, statistic: float | None) -> Alarm:
            return Alarm(
                signal, spec.kind, spec.parameters, statistic, spec.threshold, value, baseline, since
            )

        return [alarm(one.spec, one.statistic) for one in detections], alarm(series.specs[0], None)
