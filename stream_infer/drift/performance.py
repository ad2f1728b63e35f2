"""How good a model is: accuracy, log loss, Brier score, absolute error, per version and window of labels.

A window is so many labelled predictions of one version, in the order in which pairs came together. Beside the
truth stands an estimate that needs no label: what the scores of new predictions promise, corrected by how
often such scores were right (CBPE, calibrated on the pairs so far). Joining is in `labels`.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from stream_infer.drift.detectors import Fired, Series, Spec
from stream_infer.drift.labels import Pair, Predicted

BANDS = 10
_TWO = 2
_LEAST_PROBABILITY = 1e-15
_FIRST_WINDOWS = 5
_APART = 3.0
_CALM = 3
_SETTLE = 20
_COOL = 8
_BITS = 2048


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model's labels and scores mean. `classes` are empty for a regressor.

    With two classes a score is P(classes[1]), with more P(label). `probability` is False for other scores.
    """

    classes: tuple[str, ...]
    probability: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """What is left of a pair: whether the label was right, P(truth), the absolute error, and the delay."""

    right: bool | None
    chance: float | None
    apart: float | None
    delay_ms: int


Ranges = Mapping[str, tuple[int, int]]
"""Log of labels ("topic/index") -> first and last offset of a window's labels in it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of one window of one version; `reference` is that of its first windows."""

    version: str
    metric: str
    value: float
    reference: float | None
    predictions: int
    labelled: int
    delay_p50_ms: int
    labels: Ranges


@dataclass(frozen=True, slots=True)
class ErrorDrift:
    """The errors of a version have changed: a detector fired on `rate` against the `usual` one."""

    incident: str
    version: str
    fired: Fired
    rate: float
    usual: float
    sample: int
    labels: Ranges


@dataclass(frozen=True, slots=True)
class ErrorsBack:
    """The errors of a version are what they were, or stay at what they became (`settled`)."""

    incident: str
    version: str
    rate: float
    usual: float
    sample: int
    settled: bool
    labels: Ranges


@dataclass(slots=True)
class Errors:
    """The course of one version's errors: detectors' values, and the incident that is open, if any.

    `alarmed` and `cool` count windows: when a detector last fired, and until when alarms about what is back
    to normal are not believed.
    """

    values: list[int] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)
    windows: int = 0
    incident: str | None = None
    alarmed: int = 0
    calm: int = 0
    cool: int = 0


@dataclass(slots=True)
class Version:
    """What is kept of one version: the window under way, and what windows before it left."""

    classes: list[str] = field(default_factory=list)
    probability: bool = False
    marks: list[Mark] = field(default_factory=list)
    labels: dict[str, list[int]] = field(default_factory=dict)
    predictions: int = 0
    promised: list[int] = field(default_factory=lambda: [0] * BANDS)
    right: list[int] = field(default_factory=lambda: [0] * BANDS)
    seen: list[int] = field(default_factory=lambda: [0] * BANDS)
    confidence: list[float] = field(default_factory=lambda: [0.0] * BANDS)
    first: dict[str, list[float]] = field(default_factory=dict)
    errors: Errors = field(default_factory=Errors)


Said = Measured | ErrorDrift | ErrorsBack


class Performance:
    """Figures and error drift of every version. State is small: one window of pairs, and counts."""

    def __init__(self, specs: Sequence[Spec], *, window: int = 200, bit_specs: Sequence[Spec] = ()) -> None:
        """`specs` watch the error of each window, `bit_specs` (the DDM family) every label as 0 or 1."""
        self._window = window
        self._specs = tuple(specs)
        self._bit_specs = tuple(bit_specs)
        self._bits: dict[str, Series] = {}
        self._versions: dict[str, Version] = {}
        self._series: dict[str, Series] = {}
        self._touched: set[str] = set()

    def knows(self, version: str) -> bool:
        """Return whether `version` was met before."""
        return version in self._versions

    def know(self, version: str, answers: Answers) -> None:
        """Learn what the answers of `version` mean."""
        of = self._of(version)
        of.classes, of.probability = list(answers.classes), answers.probability

    def predicted(self, one: Predicted) -> None:
        """Count a prediction, and what its score promises."""
        of = self._of(one.version)
        of.predictions += 1
        confidence = _confidence(one, of)
        if confidence is not None:
            band = _band(confidence)
            of.promised[band] += 1
            of.confidence[band] += confidence

    def paired(self, pair: Pair) -> Sequence[Said]:
        """Take a pair; return the figures of the window that it completes, and whether errors drift."""
        version = pair.predicted.version
        of = self._of(version)
        of.marks.append(mark(pair, Answers(tuple(of.classes), of.probability)))
        log, offset = pair.truth.log, pair.truth.offset
        first, last = of.labels.get(log, [offset, offset])
        of.labels[log] = [min(first, offset), max(last, offset)]
        confidence = _confidence(pair.predicted, of)
        if confidence is not None and of.marks[-1].right is not None:
            band = _band(confidence)
            of.seen[band] += 1
            of.right[band] += of.marks[-1].right
        found = self._watch_bits(version, of)
        if len(of.marks) < self._window:
            return found
        found += self._measure(version, of)
        of.marks, of.labels, of.predictions = [], {}, 0
        of.promised, of.confidence = [0] * BANDS, [0.0] * BANDS
        return found

    def changed(self) -> Mapping[str, dict[str, Any]]:
        """Return the documents that have changed since the last call, by version."""
        touched, self._touched = self._touched, set()
        return {version: asdict(self._versions[version]) for version in sorted(touched)}

    def restore(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over the state in `documents`, by version."""
        for version, document in documents.items():
            marks = [Mark(**one) for one in document["marks"]]
            errors = Errors(**document["errors"])
            self._versions[version] = Version(**{**document, "marks": marks, "errors": errors})
            self._series[version] = Series(self._specs, values=errors.values)
            self._bits[version] = Series(self._bit_specs, limit=_BITS, values=errors.bits)

    def _of(self, version: str) -> Version:
        self._touched.add(version)
        return self._versions.setdefault(version, Version())

    def _measure(self, version: str, of: Version) -> Sequence[Said]:
        delay = statistics.median_low(one.delay_ms for one in of.marks)
        figures = figures_of(of.marks)
        ranges = _ranges(of)
        estimate = _estimate(of)
        if estimate is not None and "accuracy" in figures:
            figures["estimated_accuracy"] = estimate
        found: list[Said] = []
        for metric, value in figures.items():
            first = of.first.setdefault(metric, [])
            reference = statistics.fmean(first) if len(first) >= _FIRST_WINDOWS else None
            found.append(
                Measured(version, metric, value, reference, of.predictions, len(of.marks), delay, ranges)
            )
            if len(first) < _FIRST_WINDOWS:
                first.append(value)
        return found + self._errors(version, of, figures)

    def _errors(self, version: str, of: Version, figures: Mapping[str, float]) -> list[Said]:
        """Feed the window's error to the detectors, once the first windows say what is usual."""
        metric = "accuracy" if "accuracy" in figures else "mae"
        first = of.first.get(metric, [])
        if metric not in figures or len(first) < _FIRST_WINDOWS:
            return []
        usual, now, count = statistics.fmean(first), figures[metric], len(of.marks)
        if metric == "accuracy":
            usual, now = 1 - usual, 1 - now
            value = 2 * math.sqrt(count) * (_angle(now) - _angle(usual))
        else:
            spread = max(statistics.stdev(first), 0.05 * usual)
            value = (now - usual) / (1.5 * spread) if spread > 0 else 0.0
        series = self._series.setdefault(version, Series(self._specs))
        fired = series.update(value)
        errors = of.errors
        errors.values, errors.windows = list(series.values), errors.windows + 1
        found = (
            self._opened(version, of, fired, now, usual) if abs(value) >= _APART or not errors.cool else []
        )
        errors.cool = max(0, errors.cool - 1)
        errors.calm = errors.calm + 1 if abs(value) < _APART else 0
        settled = errors.windows - errors.alarmed >= _SETTLE
        if errors.incident is not None and (errors.calm >= _CALM or settled):
            back = errors.calm >= _CALM
            ranges = _ranges(of)
            found.append(ErrorsBack(errors.incident, version, now, usual, count, not back, ranges))
            errors.incident, errors.cool = None, _COOL
        return found

    def _watch_bits(self, version: str, of: Version) -> list[Said]:
        right = of.marks[-1].right
        if not self._bit_specs or right is None:
            return []
        series = self._bits.setdefault(version, Series(self._bit_specs, limit=_BITS))
        fired = series.update(float(not right))
        of.errors.bits = list(series.values)
        if not fired:
            return []
        wrong = [1 - bool(one.right) for one in of.marks]
        return self._opened(version, of, fired, statistics.fmean(wrong), series.mean)

    def _opened(
        self, version: str, of: Version, fired: Sequence[Fired], now: float, usual: float
    ) -> list[Said]:
        """Open an incident, or note that the open one goes on."""
        if not fired:
            return []
        of.errors.alarmed = of.errors.windows
        if of.errors.incident is not None:
            return []
        ranges = _ranges(of)
        place = f"{version}\n{sorted(ranges.items())}"
        of.errors.incident = hashlib.sha256(place.encode()).hexdigest()[:16]
        return [ErrorDrift(of.errors.incident, version, fired[0], now, usual, len(of.marks), ranges)]


def mark(pair: Pair, answers: Answers) -> Mark:
    """Return what `pair` adds to the figures."""
    said, truth = pair.predicted, pair.truth
    both = said.label is not None and truth.label is not None
    apart = abs(said.value - truth.value) if said.value is not None and truth.value is not None else None
    return Mark(said.label == truth.label if both else None, _chance(pair, answers), apart, pair.delay_ms)


def figures_of(marks: Sequence[Mark]) -> dict[str, float]:
    """Return the figures of a window: what an offline recompute has to give, exactly (sums are exact)."""
    figures: dict[str, float] = {}
    right = [one.right for one in marks if one.right is not None]
    if right:
        figures["accuracy"] = sum(right) / len(right)
    chances = [one.chance for one in marks if one.chance is not None]
    if chances:
        losses = [-math.log(max(_LEAST_PROBABILITY, chance)) for chance in chances]
        figures["log_loss"] = math.fsum(losses) / len(losses)
        figures["brier"] = math.fsum((1 - chance) ** 2 for chance in chances) / len(chances)
    apart = [one.apart for one in marks if one.apart is not None]
    if apart:
        figures["mae"] = math.fsum(apart) / len(apart)
    return figures


def _chance(pair: Pair, answers: Answers) -> float | None:
    """Return the probability that a model of two classes gave to the truth."""
    score, truth = pair.predicted.score, pair.truth.label
    if not answers.probability or len(answers.classes) != _TWO or score is None:
        return None
    if truth not in answers.classes:
        return None
    return score if truth == answers.classes[1] else 1.0 - score


def _confidence(one: Predicted, of: Version) -> float | None:
    """Return how sure the model is of the label that it gives, if its score says so."""
    if not of.probability or one.score is None or not of.classes:
        return None
    if len(of.classes) == _TWO and one.label != of.classes[1]:
        return 1.0 - one.score
    return one.score


def _ranges(of: Version) -> Ranges:
    return {log: (first, last) for log, (first, last) in sorted(of.labels.items())}


def _estimate(of: Version) -> float | None:
    """Return the accuracy that the scores of this window's predictions promise.

    Of each band of confidence, how often it was right so far, counting its mean confidence as one more pair.
    """
    total = sum(of.promised)
    if not total:
        return None
    right = 0.0
    for band in range(BANDS):
        if of.promised[band]:
            mean = of.confidence[band] / of.promised[band]
            right += of.promised[band] * (of.right[band] + mean) / (of.seen[band] + 1)
    return right / total


def _band(confidence: float) -> int:
    return min(BANDS - 1, max(0, int(confidence * BANDS)))


def _angle(rate: float) -> float:
    return math.asin(math.sqrt(min(1.0, max(0.0, rate))))
