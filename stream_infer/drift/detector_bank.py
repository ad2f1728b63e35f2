"""The detectors of one stream, window by window: a series of z-scores for each signal, and their alarms.

The state is small and JSON: recent z-scores, the rows pooled for PSI and KS. How alarms
become incidents is in `incidents`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from stream_infer.drift.alarms import Alarm, Place, WindowResult
from stream_infer.drift.aspects import RATES, Aspect, Signal
from stream_infer.drift.baseline import (
    BaselineLearner,
    LearnedBaseline,
    baseline_from_document,
    baseline_to_document,
)
from stream_infer.drift.budget import AlarmBudget, change_detectors
from stream_infer.drift.detectors import DetectorSpec
from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_NUMBER,
    ColumnSummary,
    ObservationFrame,
)
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.drift.reference_comparison import ReferenceComparison
from stream_infer.drift.series import ORIGINAL, Detection, Scaling, Series
from stream_infer.drift.zscores import zscores

_SIGNALS_OF = {FEATURE_NUMBER: 6, FEATURE_CATEGORY: 4, OUTPUT_NUMBER: 3}
_REMEMBERED_WINDOWS, _REMEMBERED_PLACES = 128, 16
_MISSING = frozenset({Aspect.NULLS, Aspect.NON_FINITE, Aspect.DEAD_LETTERS})
_POWERS = {Aspect.MEAN: 2, Aspect.SPREAD: 2, Aspect.CATEGORIES: 3}
"""A variance grows with the square of the scale; X2 is made normal by its cube root."""
_ONSET = 3
"""A change begins up to so many windows before its alarm."""


@dataclass(frozen=True, slots=True)
class DetectionPolicy:
    """Which detectors see the signals, and how often they may raise a false alarm.

    `detectors` makes those of one signal from its run length. `compare` names the distances from the training
    data ("PSI", "KS").
    """

    budget: AlarmBudget = field(default_factory=AlarmBudget)
    detectors: Callable[[float], Sequence[DetectorSpec]] = change_detectors
    compare: tuple[str, ...] = ("PSI",)


class Onset(NamedTuple):
    """Where a window begins: its first offset, and its first time where it is known."""

    offset: int
    time_ms: int | None
    places: tuple[Place, ...] = ()


class DetectorBank:
    """The detectors of one stream. `_size`: the number of its signals, and of events in its first window.

    `baseline` is that of the pipeline; a stream that learned its own with an earlier release keeps it.
    """

    def __init__(
        self, policy: DetectionPolicy, reference: Reference | None, baseline: BaselineLearner
    ) -> None:
        self._policy = policy
        self.reference = reference
        self._run_length = 0.0
        self._size: tuple[int, int] | None = None
        self._windows = 0
        self.onsets: list[Onset] = []
        self._baseline = baseline
        self._own_baseline: LearnedBaseline | None = None
        self.comparison = ReferenceComparison(reference, policy.compare)
        self.series: dict[Signal, Series] = {}

    @property
    def learned(self) -> LearnedBaseline | None:
        """The baseline of columns that have no reference; None before it."""
        return self._own_baseline or self._baseline.learned

    @property
    def last_offset(self) -> int:
        """The first offset of the newest window that was evaluated; -1 before the first."""
        return self.onsets[-1].offset if self.onsets else -1

    @property
    def columns(self) -> Collection[tuple[str, str]]:
        """The columns with a series, by kind and name."""
        return dict.fromkeys((signal.kind, signal.name) for signal in self.series)

    def evaluate(
        self, window: ObservationFrame, places: tuple[Place, ...] = (), before: DetectorBank | None = None
    ) -> WindowResult:
        """Take the next window, of a whole pipeline with its places; return the alarms that it raises.

        1. continue the features of the bank `before`, that of the model before; 2. compute z-scores; 3. give
        each to the detectors of its signal; 4. with enough rows pooled, compare with the training data.
        """
        self._begin(window, places, before)
        alarms: list[Alarm] = []
        values: dict[Signal, float] = {}
        for score in zscores(window, self.reference, self.learned):
            values[score.signal] = score.value
            if score.signal not in self.series:
                self.series[score.signal] = Series(
                    self._policy.detectors(self._run_length), scaling=_scaling(score.signal)
                )
            found = self.series[score.signal].update(score.value)
            alarms += [
                self._alarm(score.signal, score.value, one)
                for one in found
                if _is_worse(score.signal, self.series[score.signal])
            ]
        for signal, value, alarm in self.comparison.add(
            window, chance=0.5 / self._run_length, inflation=partial(_inflation, self.series)
        ):
            values[signal] = max(value, values.get(signal, 0.0))
            alarms += [] if alarm is None else [alarm]
        candidates = [
            self._alarm(signal, values[signal], Detection(self.series[signal].specs[0], None))
            for signal in _possible_causes(alarms, self.series)
            if signal in values and _is_worse(signal, self.series[signal])
        ]
        return WindowResult(self._windows, window, alarms, values, candidates, places)

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values, but for the series: each column has a document of its own."""
        return {
            "run_length": self._run_length,
            "size": self._size,
            "looks": self._windows,
            "firsts": [onset.offset for onset in self.onsets],
            "times_ms": [onset.time_ms for onset in self.onsets],
            "places": [[list(place) for place in onset.places] for onset in self.onsets],
            "learned": baseline_to_document(self._own_baseline),
            **self.comparison.to_document(),
        }

    def column_document(self, kind: str, name: str) -> dict[str, object]:
        """Return the series of one column as JSON values."""
        of_column = {s.aspect: list(v.values) for s, v in self.series.items() if s[:2] == (kind, name)}
        own = {s.aspect: v.normal for s, v in self.series.items() if s[:2] == (kind, name)}
        accepted = {aspect: list(normal) for aspect, normal in own.items() if normal != ORIGINAL}
        document: dict[str, object] = {"column": [kind, name], "series": of_column}
        return document | ({"normal": accepted} if accepted else {})

    def restore_column(self, document: Mapping[str, Any]) -> None:
        """Take over the series that `column_document` wrote."""
        kind, name = document["column"]
        specs = self._policy.detectors(self._run_length)
        for aspect, values in document["series"].items():
            normal = document.get("normal", {}).get(aspect, ORIGINAL)
            self.series[Signal(kind, name, Aspect(aspect))] = Series(
                specs, values=values, normal=normal, scaling=_scaling(Signal(kind, name, Aspect(aspect)))
            )

    @staticmethod
    def from_document(
        document: Mapping[str, Any],
        policy: DetectionPolicy,
        reference: Reference | None,
        baseline: BaselineLearner,
    ) -> DetectorBank:
        """Return the bank that wrote `document`."""
        bank = DetectorBank(policy, reference, baseline)
        if document.get("size") is not None:
            bank._size = document["size"][0], document["size"][1]
        # The settings may be others now; documents of the first release do not say what theirs follows from.
        bank._run_length = document["run_length"] if bank._size is None else _run_length(policy, bank._size)
        bank._windows = document["looks"]
        offsets = document["firsts"]
        times, places = (
            document.get("times_ms", [None] * len(offsets)),
            document.get("places", [()] * len(offsets)),
        )
        bank.onsets = [
            Onset(offset, time_ms, tuple(Place(*one) for one in of_window))
            for offset, time_ms, of_window in zip(offsets, times, places, strict=True)
        ]
        bank._own_baseline = baseline_from_document(document["learned"])
        bank.comparison.restore(document)
        return bank

    def _begin(
        self, window: ObservationFrame, places: tuple[Place, ...], before: DetectorBank | None
    ) -> None:
        if not self._run_length:
            self._size = 1 + sum(_SIGNALS_OF.get(one.kind, 2) for one in window.signals), window.records
            self._run_length = _run_length(self._policy, self._size)
        self._windows += 1
        if before is not None:
            self.onsets = list(before.onsets)
            specs = self._policy.detectors(self._run_length)
            for signal in before.series:
                if signal.kind.startswith("feature") and _baseline_of(self, signal) == _baseline_of(
                    before, signal
                ):
                    known, scaling = before.series[signal], _scaling(signal)
                    self.series[signal] = Series(
                        specs, values=known.values, normal=known.normal, scaling=scaling
                    )
        earlier = self.onsets[-(_REMEMBERED_PLACES if places else _REMEMBERED_WINDOWS) + 1 :]
        self.onsets = [*earlier, Onset(window.window_first_offset, window.first_time_ms, places)]

    def restart(self, column: tuple[str, str], kept: int, since_window: int | None = None) -> None:
        """Begin the series of a column again, all aspects of it.

        Each has its newest `kept` values, and those before `since_window` where it is given.
        """
        forgotten = None if since_window is None else max(0, self._windows - since_window + _ONSET - kept)
        for signal, series in self.series.items():
            if signal[:2] == column:
                series.restart(kept, forgotten)

    def _alarm(self, signal: Signal, value: float, found: Detection) -> Alarm:
        change = self.series[signal].change()
        onset = self.onsets[-min(len(self.onsets), change.length)]
        return Alarm(
            signal,
            found.spec.kind,
            found.spec.parameters,
            found.statistic,
            found.spec.threshold,
            value,
            change.before,
            onset.offset,
            onset.places,
            change.spread,
            onset.time_ms,
        )


def _baseline_of(bank: DetectorBank, signal: Signal) -> ReferenceColumn | ColumnSummary | None:
    """Return what `bank` compares the column of `signal` with."""
    column = signal.kind, signal.name
    known = None if bank.reference is None else bank.reference.column(*column)
    return known or (None if bank.learned is None else bank.learned.columns.get(column))


def _inflation(known: Mapping[Signal, Series], column: tuple[str, str]) -> float:
    """Return the number of sampled values of a column for each one that counts."""
    of_values = {Signal(*column, aspect): power for aspect, power in _POWERS.items()}
    return max((known[one].scale ** power for one, power in of_values.items() if one in known), default=1.0)


def _is_worse(signal: Signal, series: Series) -> bool:
    """Whether a change of `signal` is one to tell: a rate that falls is none."""
    return signal.aspect not in RATES or series.change().is_rise


def _scaling(signal: Signal) -> Scaling:
    """Return how detectors see a signal: missing values are told in bursts too, each of them is a fault."""
    return Scaling.CENTERED if signal.aspect in _MISSING else Scaling.MEASURED


def _run_length(policy: DetectionPolicy, size: tuple[int, int]) -> float:
    signals, window_events = size
    return policy.budget.run_length(signals=signals, window_events=window_events)


def _possible_causes(alarms: Sequence[Alarm], known: Collection[Signal]) -> Collection[Signal]:
    """Return the signals of `known` that may cause `alarms`: means, or all where only outputs alarm."""
    means = {a.signal._replace(aspect=Aspect.MEAN) for a in alarms if a.signal.kind.startswith("feature")}
    if not alarms:
        return ()
    return [signal for signal in known if not means or signal in means]
