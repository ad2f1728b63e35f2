"""The part of the monitor's step that joins labels with predictions and measures how good models are.

The join is in `drift.join`, metrics and drift of errors are in `drift.performance`; `label_readers` reads the
records, `label_event` makes the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_infer.drift.budget import change_detectors
from stream_infer.drift.clock import TopicClock
from stream_infer.drift.detectors import DetectorKind, DetectorSpec
from stream_infer.drift.error_drift import ErrorPolicy
from stream_infer.drift.join import Join
from stream_infer.drift.label_feed import LabelFeed
from stream_infer.drift.labels import JoinPolicy, LabelOutcome, Predicted, ReadProgress, Truth
from stream_infer.drift.performance import OutputMeaningOf, Performance, PerformanceChange
from stream_infer.flow.records import Batch, Partition, Rejected
from stream_infer.steps.monitoring import label_event
from stream_infer.steps.monitoring.label_readers import LabelReader, PredictionReader

_JOIN = "join/"
_PERFORMANCE = "performance/"
_FEED = "feed"
# A false alarm about one model's errors in so many blocks of labels; there are few of them.
_ERROR_RUN_LENGTH = 100_000.0


def error_detectors() -> ErrorPolicy:
    """Return the shipped detectors of error drift.

    Of the DDM family HDDM_A had no false alarm in 900,000 labels at error rates of 2, 10 and 30 %, and
    detected 30 % become 45 % after 336 labels and 10 % become 30 % after 185. DDM raised 15 false alarms,
    EDDM 512; HDDM_W and FHDDM detected less, and later. A rare error that becomes frequent is for the
    detectors of blocks to detect.
    """
    of_labels = DetectorSpec(DetectorKind.HDDM_A, {"drift_confidence": 1e-5})
    return ErrorPolicy(change_detectors(_ERROR_RUN_LENGTH), [of_labels])


@dataclass(frozen=True, slots=True)
class LabelJoinSettings:
    """The topics of predictions and labels, their readers, and the meaning of a model's output by digest."""

    predictions: str
    labels: str
    prediction_reader: PredictionReader
    label_reader: LabelReader
    meaning_of: OutputMeaningOf
    join: JoinPolicy = field(default_factory=JoinPolicy)
    errors: ErrorPolicy = field(default_factory=error_detectors)
    limits: Mapping[str, float] = field(default_factory=dict)


class LabelJoinStep:
    """Takes batches that hold predictions and labels among others. Metrics do not depend on their order."""

    def __init__(self, pipeline: str, settings: LabelJoinSettings) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._prediction_clock, self._label_clock = TopicClock(), TopicClock()
        self._feed = LabelFeed()
        self._join = Join(settings.join)
        self.performance = Performance(
            settings.errors, settings.meaning_of, window=settings.join.window, limits=settings.limits
        )

    @property
    def totals(self) -> Mapping[str, int]:
        """The labels of closed windows by `LabelOutcome`."""
        return {outcome: self._join.totals[outcome] for outcome in LabelOutcome}

    @property
    def feed(self) -> LabelFeed:
        """How long labels usually stay away."""
        return self._feed

    @property
    def coverage(self) -> float:
        """The part of predictions that is kept for its label."""
        return self._join.coverage

    @property
    def remembered(self) -> int:
        """The number of predictions and labels that are kept."""
        return self._join.remembered

    @property
    def size_bytes(self) -> int:
        """About how much memory they take, with their stored documents."""
        return self._join.size_bytes

    def take(self, batch: Batch) -> tuple[Sequence[Mapping[str, object]], Sequence[Rejected]]:
        """Take the predictions and labels of `batch`; return events, and the rows that are neither."""
        settings = self._settings
        predictions, bad_predictions = settings.prediction_reader.read(
            batch, rows_of(batch, settings.predictions)
        )
        truths, bad_labels = settings.label_reader.read(batch, rows_of(batch, settings.labels))
        changes: list[PerformanceChange] = []
        for row, predicted in predictions:
            changes += self._take_prediction(batch, row, predicted)
        self._take_labels(batch, truths, bad_labels)
        for window in self._join.advance(self._progress(batch)):
            changes += self.performance.closed(window)
        events = [label_event.performance_event(self._pipeline, change) for change in changes]
        return events, [*bad_predictions, *bad_labels]

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that changed since the last call, None for those that are gone."""
        joined = {_JOIN + name: document for name, document in self._join.changed().items()}
        joined |= {_PERFORMANCE + name: one for name, one in self.performance.changed().items()}
        return joined | ({_FEED: self._feed.to_document()} if self._feed.count else {})

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`; those of others are left alone."""
        self._join.restore(_under(_JOIN, documents))
        self.performance.restore(_under(_PERFORMANCE, documents))
        if _FEED in documents:
            self._feed = LabelFeed(*documents[_FEED])

    def _take_prediction(self, batch: Batch, row: int, predicted: Predicted) -> Sequence[PerformanceChange]:
        partition = batch.source(row)
        self._prediction_clock.observe(partition.index, predicted.time_ms)
        self._join.predicted(predicted)
        return list(self.performance.predicted(_log(partition), batch.offset[row], predicted))

    def _take_labels(
        self, batch: Batch, truths: Sequence[tuple[int, Truth]], rejected: Sequence[Rejected]
    ) -> None:
        """Take labels and records that are none, in offset order within a partition."""
        merged: list[tuple[int, Truth | None]] = [*truths, *((one.row, None) for one in rejected)]
        for row, truth in sorted(merged, key=lambda item: item[0]):
            partition, offset = batch.source(row), batch.offset[row]
            if truth is None:
                self._join.invalid(_log(partition), offset, batch.time_ms(row))
            else:
                self._label_clock.observe(partition.index, truth.time_ms)
                self._feed.observe(truth.time_ms)
                self._join.labelled(_log(partition), offset, truth)

    def _progress(self, batch: Batch) -> ReadProgress:
        labels = self._settings.labels
        reached = {_log(p): offset for p, offset in batch.positions.items() if p.topic == labels}
        reached |= {_log(p): span.next for p, span in batch.cursor.spans.items() if p.topic == labels}
        return ReadProgress(
            _watermark_ms(self._prediction_clock, batch, self._settings.predictions),
            _watermark_ms(self._label_clock, batch, labels),
            reached,
        )


def rows_of(batch: Batch, topic: str) -> Sequence[int]:
    """Return the rows of `batch` that were read from `topic`."""
    places = {index for index, partition in enumerate(batch.partitions) if partition.topic == topic}
    return [row for row, place in enumerate(batch.partition) if place in places]


def _watermark_ms(clock: TopicClock, batch: Batch, topic: str) -> int:
    owned = [partition.index for partition in batch.positions if partition.topic == topic]
    ended = {partition.index for partition in batch.ended if partition.topic == topic}
    return clock.watermark_ms(owned, ended, batch.received_ms)


def _log(partition: Partition) -> str:
    return f"{partition.topic}/{partition.index}"


def _under(prefix: str, documents: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in documents.items() if key.startswith(prefix)}
