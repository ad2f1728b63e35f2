"""One partition under one model, look by look: who watches which signal, and what they say.

State is small and JSON: recent standardised values, the first looks, the rows gathered for PSI and KS. What
alarms lead to is in `incidents`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_infer.drift import distance
from stream_infer.drift.budget import AlarmBudget, change_detectors
from stream_infer.drift.detectors import DetectorSpec, Series
from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_NUMBER,
    ObservationFrame,
    folded,
    from_document,
    to_document,
)
from stream_infer.drift.reference import Reference
from stream_infer.drift.zscores import Aspect, LearnedBaseline, Signal, learn_baseline, zscores

_SIGNALS_OF = {FEATURE_NUMBER: 6, FEATURE_CATEGORY: 4, OUTPUT_NUMBER: 3}
_ONSET_APART = 2.0
_FAR_READING = 6.0


@dataclass(frozen=True, slots=True)
class DetectionPolicy:
    """Who watches, and how often they may be wrong.

    `detectors` makes those of one signal from its run length. `first_looks` are learned from where a column
    has no reference. With `compare` training data is compared with (PSI, and KS where it is named).
    """

    budget: AlarmBudget = field(default_factory=AlarmBudget)
    detectors: Callable[[float], Sequence[DetectorSpec]] = change_detectors
    first_looks: int = 8
    compare: tuple[str, ...] = ("PSI",)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Someone sees a change in `signal`: `value` now against the `usual`, since `since_offset` or so."""

    signal: Signal
    detector: str
    parameters: Mapping[str, float]
    statistic: float | None
    threshold: float | None
    value: float
    usual: float
    since_offset: int

    @property
    def apart(self) -> float:
        """How far the signal is from what is usual, in standard errors of a look."""
        return abs(self.value - self.usual)


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What one look showed: alarms, and every signal's value and distance from its usual one."""

    number: int
    frame: ObservationFrame
    alarms: Sequence[Alarm]
    values: Mapping[Signal, float]
    suspects: Sequence[Alarm]


class DetectorBank:
    """The detectors of one stream."""

    def __init__(self, policy: DetectionPolicy, reference: Reference | None) -> None:
        self._policy = policy
        self._reference = reference
        self._run_length = 0.0
        self._looks = 0
        self._firsts: list[int] = []
        self._first: list[ObservationFrame] = []
        self._learned: LearnedBaseline | None = None
        self._pool: ObservationFrame | None = None
        self._far: set[tuple[str, str]] = set()
        self._series: dict[Signal, Series] = {}

    @property
    def learned(self) -> ObservationFrame | None:
        """The first looks together: what a column is compared with that has no reference."""
        return None if self._learned is None else self._learned.frame

    def evaluate(self, frame: ObservationFrame) -> WindowResult:
        """Take the next look; return what it shows.

        1. standardise; 2. feed each signal's detectors; 3. with enough rows gathered, compare with the
        training data; 4. learn, while these are the first looks.
        """
        self._begin(frame)
        alarms: list[Alarm] = []
        suspects: list[Alarm] = []
        values: dict[Signal, float] = {}
        for reading in zscores(frame, self._reference, self._learned):
            values[reading.signal] = reading.value
            found, suspect = self._feed(reading.signal, reading.value)
            alarms += found
            suspects.append(suspect)
        alarms += self._compare(frame, values)
        self._learn(frame)
        return WindowResult(self._looks, frame, alarms, values, suspects)

    @property
    def last(self) -> int:
        """The first offset of the newest window that was looked at; -1 before the first look."""
        return self._firsts[-1] if self._firsts else -1

    @property
    def columns(self) -> Collection[tuple[str, str]]:
        """What is watched, by kind and name."""
        return dict.fromkeys((signal.kind, signal.name) for signal in self._series)

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values, but for the values of its columns: there may be many."""
        return {
            "run_length": self._run_length,
            "looks": self._looks,
            "firsts": list(self._firsts),
            "first": [to_document(one) for one in self._first],
            "learned": None if self._learned is None else _learned(self._learned),
            "pool": None if self._pool is None else to_document(self._pool),
            "far": sorted(list(key) for key in self._far),
        }

    def column_document(self, kind: str, name: str) -> dict[str, object]:
        """Return what is remembered of one column, as JSON values."""
        of_column = {s.aspect: list(v.values) for s, v in self._series.items() if s[:2] == (kind, name)}
        return {"column": [kind, name], "series": of_column}

    def restore_column(self, document: Mapping[str, Any]) -> None:
        """Take over what `column_document` wrote."""
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
        bank._looks = document["looks"]
        bank._firsts = list(document["firsts"])
        learned, pool = document["learned"], document["pool"]
        bank._first = [from_document(one) for one in document["first"]]
        bank._learned = None if learned is None else _read_learned(learned)
        bank._pool = None if pool is None else from_document(pool)
        bank._far = {(kind, name) for kind, name in document["far"]}
        return bank

    def _begin(self, frame: ObservationFrame) -> None:
        if not self._run_length:
            signals = 1 + sum(_SIGNALS_OF.get(s.kind, 2) for s in frame.signals)
            self._run_length = self._policy.budget.run_length(signals=signals, look_events=frame.records)
        self._looks += 1
        self._firsts = [*self._firsts[-127:], frame.window_first_offset]

    def _learn(self, frame: ObservationFrame) -> None:
        if self._learned is None:
            self._first.append(frame)
            if len(self._first) >= self._policy.first_looks:
                self._learned, self._first = learn_baseline(self._first), []

    def _feed(self, signal: Signal, value: float) -> tuple[Sequence[Alarm], Alarm]:
        series = self._series.get(signal)
        if series is None:
            series = self._series[signal] = Series(self._policy.detectors(self._run_length))
        fired = series.update(value)
        since = self._firsts[-min(len(self._firsts), series.onset(_ONSET_APART))]

        def alarm(spec: DetectorSpec, statistic: float | None) -> Alarm:
            usual = series.baseline
            return Alarm(signal, spec.kind, spec.parameters, statistic, spec.threshold, value, usual, since)

        return [alarm(one.spec, one.statistic) for one in fired], alarm(series.specs[0], None)

    def _compare(self, frame: ObservationFrame, values: dict[Signal, float]) -> Sequence[Alarm]:
        if self._reference is None or not self._policy.compare:
            return ()
        self._pool = frame if self._pool is None else folded(self._pool, frame)
        if self._pool.sampled < distance.LEAST_LOOK_ROWS * 1.2:  # nulls and rejected rows take their part
            return ()
        pool, self._pool = self._pool, None
        alarms: list[Alarm] = []
        for summary in pool.signals:
            column = self._reference.column(summary.kind, summary.name)
            for name in self._policy.compare if column is not None else ():
                found = getattr(distance, name.lower())(summary, column, chance=0.5 / self._run_length)
                if found is not None:
                    signal = Signal(summary.kind, summary.name, Aspect.DISTRIBUTION)
                    alarms += self._judge(signal, found, values, pool.window_first_offset)
        return alarms

    def _judge(
        self, signal: Signal, found: distance.Distance, values: dict[Signal, float], since: int
    ) -> Sequence[Alarm]:
        """Alarm when a column becomes far from the reference, once: it may stay so for good."""
        value = _FAR_READING * found.statistic / found.threshold
        values[signal] = max(value, values.get(signal, 0.0))
        key = (f"{signal.kind}/{found.detector}", signal.name)
        if key in self._far:
            if value < _FAR_READING / 2:
                self._far.discard(key)
            return ()
        if not found.far:
            return ()
        self._far.add(key)
        return [
            Alarm(
                signal, found.detector, found.parameters, found.statistic, found.threshold, value, 0.0, since
            )
        ]


def _learned(one: LearnedBaseline) -> dict[str, object]:
    return {"frame": to_document(one.frame), "beyond": [[*key, *two] for key, two in one.beyond.items()]}


def _read_learned(document: Mapping[str, Any]) -> LearnedBaseline:
    beyond = {(kind, name): (mean, spread) for kind, name, mean, spread in document["beyond"]}
    return LearnedBaseline(from_document(document["frame"]), beyond)
