"""How good a model seems without labels: what the scores of its predictions promise.

Scores say how sure the model is; the labels so far say how often it was right when it was that sure. So the
estimate of a window of predictions is, over bands of confidence, how many predictions it has times how often
such ones were right (known as CBPE). It sees a model that gets unsure, not one whose scores became wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BANDS = 10
_SCALE = 2**60  # sums of confidences are whole numbers: exact, in whatever order
_PRIOR = 10  # before labels come, a band counts as right as often as it says, with this weight
_KEPT = 5_000  # over so many labels older ones fade: what a model's scores are worth changes


class ModelId(NamedTuple):
    """A model: its version, and the digest of its package, which is what counts."""

    version: str
    digest: str


class ConfidenceBands:
    """Predictions by how sure the model was: how many, and the sum of their confidence, exactly."""

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
        """How many predictions there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float:
        """The mean confidence, at least one prediction given."""
        return sum(self.sums) / (self.total * _SCALE)


@dataclass(slots=True)
class Calibration:
    """How often a model was right, by how sure it was: its labels in each band, and the right ones."""

    seen: list[int] = field(default_factory=lambda: [0] * BANDS)
    right: list[int] = field(default_factory=lambda: [0] * BANDS)

    @property
    def labels(self) -> int:
        """How many labels it rests on."""
        return sum(self.seen)

    def learn(self, confidence: float, *, right: bool) -> None:
        """Take a label."""
        band = band_of(confidence)
        self.seen[band] += 1
        self.right[band] += right
        if self.labels > _KEPT:
            self.seen = [count // 2 for count in self.seen]
            self.right = [count // 2 for count in self.right]

    def accuracy(self, bands: ConfidenceBands) -> float:
        """Return the accuracy to expect of predictions, of which there is at least one."""
        expected = 0.0
        for count, total, seen, right in zip(bands.counts, bands.sums, self.seen, self.right, strict=True):
            if count:
                mean = total / (count * _SCALE)
                expected += count * (right + _PRIOR * mean) / (seen + _PRIOR)
        return expected / bands.total


@dataclass(frozen=True, slots=True)
class WindowConfidence:
    """A window of a partition of predictions ("topic/index"), and what one model's scores in it say."""

    model: ModelId
    log: str
    first_offset: int
    last_offset: int
    time_ms: int
    bands: ConfidenceBands


@dataclass(slots=True)
class _Open:
    number: int
    first: int
    last: int
    time_ms: int
    models: dict[ModelId, ConfidenceBands] = field(default_factory=dict)


class ConfidenceWindows:
    """The window under way of each partition of predictions. A window is so many offsets."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._open: dict[str, _Open] = {}
        self._touched: set[str] = set()

    def take(
        self, log: str, offset: int, time_ms: int, model: ModelId, confidence: float
    ) -> Iterator[WindowConfidence]:
        """Take a prediction; yield what the window before it came to, if it is in a new one."""
        number = offset // self._window
        window = self._open.get(log)
        self._touched.add(log)
        if window is None or window.number != number:
            self._open[log] = _Open(number, offset, offset, time_ms)
            if window is not None:
                yield from _promised(log, window)
            window = self._open[log]
        window.last, window.time_ms = offset, max(window.time_ms, time_ms)
        window.models.setdefault(model, ConfidenceBands()).add(confidence)

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that have changed since the last call, by partition."""
        touched, self._touched = self._touched, set()
        return {log: _document(self._open[log]) for log in sorted(touched)}

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`."""
        for log, (number, first, last, time_ms, models) in documents.items():
            bands = {ModelId(*name): ConfidenceBands(counts, sums) for name, counts, sums in models}
            self._open[log] = _Open(number, first, last, time_ms, bands)


def band_of(confidence: float) -> int:
    """Return the band of `confidence`, which is a probability."""
    return min(BANDS - 1, int(confidence * BANDS))


def _promised(log: str, window: _Open) -> Iterator[WindowConfidence]:
    for model, bands in window.models.items():
        yield WindowConfidence(model, log, window.first, window.last, window.time_ms, bands)


def _document(window: _Open) -> list[Any]:
    models = [[name, bands.counts, bands.sums] for name, bands in window.models.items()]
    return [window.number, window.first, window.last, window.time_ms, models]
