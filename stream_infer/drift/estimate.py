"""The accuracy of a model without labels, estimated from the scores of its predictions.

A score says how sure the model is; the labels so far say how often it was correct when it was that sure. So
the expected accuracy of a window of predictions is, over bands of confidence, the number of predictions times
the rate of correct ones: confidence-based performance estimation (CBPE, as in NannyML) with a binned
calibration. It sees a model that becomes unsure, not one whose scores became wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BANDS = 10
_SCALE = 2**60  # sums of confidences are whole numbers: exact, in whatever order
_PRIOR = 10  # before labels come, a band counts as correct as often as its scores say, with this weight
_KEPT = 5_000  # over so many labels older ones fade: the calibration of a model changes


class ModelId(NamedTuple):
    """A model: its version, and the digest of its package, which is what counts."""

    version: str
    digest: str


class ConfidenceBands:
    """Predictions by confidence, in bands of equal width: their number, and the exact sum of confidences.

    `counts` and `sums` have `BANDS` items; a sum is in units of 2^-60.
    """

    def __init__(self, counts: Sequence[int] = (0,) * BANDS, sums: Sequence[int] = (0,) * BANDS) -> None:
        self.counts = list(counts)
        self.sums = list(sums)

    def add(self, confidence: float) -> None:
        """Count a prediction."""
        band = band_of(confidence)
        self.counts[band] += 1
        self.sums[band] += int(confidence * _SCALE)

    @property
    def total(self) -> int:
        """The number of predictions."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The mean confidence of at least one prediction."""
        return sum(self.sums) / (self.total * _SCALE)


@dataclass(slots=True)
class Calibration:
    """How often a model was correct, by its confidence: labels in each band, and correct ones among them."""

    seen: list[int] = field(default_factory=lambda: [0] * BANDS)
    correct: list[int] = field(default_factory=lambda: [0] * BANDS)

    @property
    def labels(self) -> int:
        """The number of labels behind it."""
        return sum(self.seen)

    def learn(self, confidence: float, *, correct: bool) -> None:
        """Take a labelled prediction."""
        band = band_of(confidence)
        self.seen[band] += 1
        self.correct[band] += correct
        if self.labels > _KEPT:
            self.seen = [count // 2 for count in self.seen]
            self.correct = [count // 2 for count in self.correct]

    def expected_accuracy(self, bands: ConfidenceBands) -> float:
        """Return the expected accuracy of at least one prediction."""
        expected = 0.0
        for count, total, seen, correct in zip(
            bands.counts, bands.sums, self.seen, self.correct, strict=True
        ):
            if count:
                mean = total / (count * _SCALE)
                expected += count * (correct + _PRIOR * mean) / (seen + _PRIOR)
        return expected / bands.total


@dataclass(frozen=True, slots=True)
class WindowConfidence:
    """The confidence of one model in a window of a partition of predictions ("topic/index").

    Offsets are inclusive; `time_ms` is the newest record's timestamp.
    """

    model: ModelId
    log: str
    first_offset: int
    last_offset: int
    time_ms: int
    bands: ConfidenceBands


@dataclass(slots=True)
class _Open:
    number: int
    first_offset: int
    last_offset: int
    time_ms: int
    models: dict[ModelId, ConfidenceBands] = field(default_factory=dict)


class ConfidenceWindows:
    """The open window of each partition of predictions. A window is so many offsets."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._open: dict[str, _Open] = {}
        self._changed: set[str] = set()

    def take(
        self, log: str, offset: int, time_ms: int, model: ModelId, confidence: float
    ) -> Iterator[WindowConfidence]:
        """Take a prediction; if it opens a new window, yield the one before, model by model.

        Offsets that begin again are those of a topic that was recreated.
        """
        number = offset // self._window
        window = self._open.get(log)
        self._changed.add(log)
        if window is None or window.number != number or offset <= window.last_offset:
            self._open[log] = _Open(number, offset, offset, time_ms)
            if window is not None:
                yield from _closed(log, window)
            window = self._open[log]
        window.last_offset, window.time_ms = offset, max(window.time_ms, time_ms)
        window.models.setdefault(model, ConfidenceBands()).add(confidence)

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that changed since the last call, by partition."""
        changed, self._changed = self._changed, set()
        return {log: _document(self._open[log]) for log in sorted(changed)}

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`, by partition."""
        for log, (number, first, last, time_ms, models) in documents.items():
            bands = {ModelId(*name): ConfidenceBands(counts, sums) for name, counts, sums in models}
            self._open[log] = _Open(number, first, last, time_ms, bands)


def band_of(confidence: float) -> int:
    """Return the band of `confidence`, which is a probability."""
    return min(BANDS - 1, int(confidence * BANDS))


def _closed(log: str, window: _Open) -> Iterator[WindowConfidence]:
    for model, bands in window.models.items():
        yield WindowConfidence(model, log, window.first_offset, window.last_offset, window.time_ms, bands)


def _document(window: _Open) -> list[Any]:
    models = [[name, bands.counts, bands.sums] for name, bands in window.models.items()]
    return [window.number, window.first_offset, window.last_offset, window.time_ms, models]
