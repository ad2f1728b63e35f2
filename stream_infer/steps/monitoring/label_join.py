"""The part of the monitor's step that joins labels with predictions and says how good models are.

Which label belongs to which prediction is `drift.labels`' business, what follows from it that of
`drift.performance`; how they are read is in `truths`, how it is told in `label_event`.
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
from stream_infer.drift.labels import JoinPolicy, LabelOutcome, Predicted, ReadProgress, Truth
from stream_infer.drift.performance import OutputMeaningOf, Performance, PerformanceChange
from stream_infer.flow.records import Batch, Partition, Rejected
from stream_infer.steps.monitoring import label_event
from stream_infer.steps.monitoring.label_readers import LabelReader, PredictionReader

_JOIN = "join/"
_PERFORMANCE = "performance/"
# A false alarm about one model's errors in so many lots of labels; there are few of them.
_LOTS_TO_A_FALSE_ALARM = 100_000.0


def error_detectors() -> ErrorPolicy:
    """Return who watches errors unless said otherwise.

    Of the DDM family HDDM_A had no false alarm in 900,000 labels at error rates of 2, 10 and 30 %, and saw
    30 % become 45 % after 336 labels and 10 % become 30 % after 185. DDM raised 15, EDDM 512 for nothing;
    HDDM_W and FHDDM saw less, and later. A rare error that gets common is for the detectors of lots to see.
    """
    bits = DetectorSpec(DetectorKind.HDDM_A, {"drift_confidence": 1e-5})
    return ErrorPolicy(change_detectors(_LOTS_TO_A_FALSE_ALARM), [bits])


@dataclass(frozen=True, slots=True)
class LabelJoinSettings:
    """Where predictions and labels are, how they are read and joined, and what answers mean, by digest."""

    predictions: str
    labels: str
    prediction_reader: PredictionReader
    label_reader: LabelReader
    answers: OutputMeaningOf
    join: JoinPolicy = field(default_factory=JoinPolicy)
    errors: ErrorPolicy = field(default_factory=error_detectors)


class LabelJoinStep:
    """Takes batches that hold predictions and labels among others. Figures do not depend on their order."""

    def __init__(self, pipeline: str, judging: LabelJoinSettings) -> None:
        self._pipeline = pipeline
        self._judging = judging
        self._prediction_clock, self._label_clock = TopicClock(), TopicClock()
        self._join = Join(judging.join)
        self._performance = Performance(judging.errors, judging.answers, window=judging.join.window)

    @property
    def totals(self) -> Mapping[str, int]:
        """What became of the labels of closed windows, by `LabelOutcome`."""
        return {fate: self._join.totals[fate] for fate in LabelOutcome}

    @property
    def coverage(self) -> float:
        """The part of predictions that is kept for its label."""
        return self._join.coverage

    @property
    def remembered(self) -> int:
        """How many predictions and labels are kept."""
        return self._join.remembered

    def take(self, batch: Batch) -> tuple[Sequence[Mapping[str, object]], Sequence[Rejected]]:
        """Take the predictions and labels of `batch`; return events, and the rows that are neither."""
        predictions, bad = self._judging.prediction_reader.read(
            batch, rows_of(batch, self._judging.predictions)
        )
        truths, worse = self._judging.label_reader.read(batch, rows_of(batch, self._judging.labels))
        found: list[PerformanceChange] = []
        for row, one in predictions:
            found += self._predicted(batch, row, one)
        self._labelled(batch, truths, worse)
        for window in self._join.advance(self._now(batch)):
            found += self._performance.closed(window)
        return [label_event.performance_event(self._pipeline, one) for one in found], [*bad, *worse]

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that have changed since the last call, None for those that are gone."""
        joined = {_JOIN + name: document for name, document in self._join.changed().items()}
        return joined | {_PERFORMANCE + name: one for name, one in self._performance.changed().items()}

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`; those of others are left alone."""
        self._join.restore(_under(_JOIN, documents))
        self._performance.restore(_under(_PERFORMANCE, documents))

    def _predicted(self, batch: Batch, row: int, one: Predicted) -> Sequence[PerformanceChange]:
        partition = batch.source(row)
        self._prediction_clock.observe(partition.index, one.time_ms)
        self._join.predicted(one)
        return list(self._performance.predicted(_log(partition), batch.offset[row], one))

    def _labelled(
        self, batch: Batch, truths: Sequence[tuple[int, Truth]], rejected: Sequence[Rejected]
    ) -> None:
        """Take labels and what is none, in offset order within a partition."""
        merged: list[tuple[int, Truth | None]] = [*truths, *((one.row, None) for one in rejected)]
        for row, truth in sorted(merged, key=lambda item: item[0]):
            partition, offset = batch.source(row), batch.offset[row]
            if truth is None:
                self._join.invalid(_log(partition), offset, max(0, batch.timestamp_ms[row]))
            else:
                self._label_clock.observe(partition.index, truth.time_ms)
                self._join.labelled(_log(partition), offset, truth)

    def _now(self, batch: Batch) -> ReadProgress:
        labels = self._judging.labels
        reached = {_log(p): offset for p, offset in batch.positions.items() if p.topic == labels}
        reached |= {_log(p): span.next for p, span in batch.cursor.spans.items() if p.topic == labels}
        return ReadProgress(
            _time_of(self._prediction_clock, batch, self._judging.predictions),
            _time_of(self._label_clock, batch, labels),
            reached,
        )


def rows_of(batch: Batch, topic: str) -> Sequence[int]:
    """Return the rows of `batch` that were read from `topic`."""
    places = {index for index, partition in enumerate(batch.partitions) if partition.topic == topic}
    return [row for row, place in enumerate(batch.partition) if place in places]


def _time_of(clock: TopicClock, batch: Batch, topic: str) -> int:
    owned = [partition.index for partition in batch.positions if partition.topic == topic]
    ended = {partition.index for partition in batch.ended if partition.topic == topic}
    return clock.watermark_ms(owned, ended, batch.received_ms)


def _log(partition: Partition) -> str:
    return f"{partition.topic}/{partition.index}"


def _under(prefix: str, documents: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in documents.items() if key.startswith(prefix)}
