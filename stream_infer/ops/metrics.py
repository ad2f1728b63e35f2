"""The observer that turns events into the metrics of `metric_table`.

One update for each batch, on label sets bound in advance. `ops.http` serves the registry.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from stream_infer.flow.events import (
    AssignmentChanged,
    BatchAborted,
    BatchCommitted,
    Degraded,
    Event,
    LagMeasured,
    Paced,
    PartitionsPaused,
    ProducerRenewed,
    ReadFinished,
)
from stream_infer.flow.records import Partition
from stream_infer.ops.metric_families import MetricFamilies


@dataclass(frozen=True, slots=True)
class Build:
    """Versions of stream_infer and Python."""

    version: str
    python: str = platform.python_version()


@dataclass(frozen=True, slots=True)
class ModelLabels:
    """Labels of `stream_infer_model_info`: the package that serves."""

    model: str
    version: str
    digest: str
    runtime: str


@dataclass(frozen=True, slots=True)
class LabelsWaiting:
    """The predictions and labels in memory: their number, their size, and the part of all that they are."""

    records: int
    size_bytes: int
    coverage: float


class Metrics:
    """An observer that turns events into metrics, on a registry of its own. One for each process.

    The loop's thread calls it; a scrape reads on another thread, which prometheus_client allows.
    """

    def __init__(self, pipeline: str, *, build: Build, clock: Callable[[], float] = time.time) -> None:
        families = MetricFamilies()
        self.registry: CollectorRegistry = families.registry
        self._pipeline = pipeline
        self._clock = clock
        self._model_info = families.gauge("stream_infer_model_info")
        self._consumed = families.counter("stream_infer_events_consumed_total").labels(pipeline)
        self._predictions = families.counter("stream_infer_predictions_total")
        self._failed = families.counter("stream_infer_records_failed_total")
        self._skipped = families.counter("stream_infer_records_skipped_total").labels(pipeline)
        self._batch_records = families.histogram("stream_infer_batch_records").labels(pipeline)
        self._limit = families.gauge("stream_infer_batch_limit_records").labels(pipeline)
        self._interval_s = families.gauge("stream_infer_commit_interval_seconds").labels(pipeline)
        cost = families.gauge("stream_infer_expected_cost_seconds")
        self._batch_cost_s = cost.labels(pipeline, "batch")
        self._record_cost_s = cost.labels(pipeline, "record")
        duration = families.histogram("stream_infer_stage_duration_seconds")
        self._read_s = duration.labels(pipeline, "read")
        self._step_s = duration.labels(pipeline, "step")
        self._commit_s = duration.labels(pipeline, "commit")
        transactions = families.counter("stream_infer_transactions_total")
        self._committed = transactions.labels(pipeline, "committed")
        self._aborted = transactions.labels(pipeline, "aborted")
        self._renewals = families.counter("stream_infer_producer_renewals_total").labels(pipeline)
        self._rebalances = families.counter("stream_infer_rebalances_total")
        self._assigned = families.gauge("stream_infer_assigned_partitions").labels(pipeline)
        self._held = families.gauge("stream_infer_held_partitions")
        self._degraded = families.gauge("stream_infer_degraded").labels(pipeline)
        self._withheld = families.gauge("stream_infer_withheld_records").labels(pipeline)
        self._lag = families.gauge("stream_infer_consumer_lag_records")
        self._lagging: frozenset[Partition] = frozenset()
        self._last_read = families.gauge("stream_infer_last_read_timestamp_seconds").labels(pipeline)
        self._last_followed = families.gauge("stream_infer_last_followed_timestamp_seconds").labels(pipeline)
        self._labels = families.counter("stream_infer_labels_total")
        self._labels_told: Mapping[str, int] = {}
        self._label_coverage = families.gauge("stream_infer_label_coverage_ratio").labels(pipeline)
        self._label_pending = families.gauge("stream_infer_label_pending_records").labels(pipeline)
        self._label_pending_bytes = families.gauge("stream_infer_label_pending_bytes").labels(pipeline)
        self._open_incidents = families.gauge("stream_infer_open_incidents")
        families.gauge("stream_infer_build_info").labels(pipeline, build.version, build.python).set(1)

    def __call__(self, event: Event) -> None:
        match event:
            case ReadFinished():
                self._read(event)
            case BatchCommitted():
                self._commit(event)
            case BatchAborted():
                self._aborted.inc()
            case AssignmentChanged():
                self._rebalances.labels(self._pipeline, event.kind).inc()
                self._assigned.set(len(event.owned))
                self._forget_lag(self._lagging.difference(event.owned))
            case ProducerRenewed():
                self._renewals.inc()
            case Paced():
                self._limit.set(event.limit_records)
                self._interval_s.set(event.interval_s)
                self._batch_cost_s.set(event.batch_s)
                self._record_cost_s.set(event.record_s)
            case LagMeasured():
                self._measure_lag(event.lag_records)
            case PartitionsPaused():
                self._held.labels(self._pipeline, event.cause.value).set(len(event.paused))
            case Degraded():
                self._degraded.set(1 if event.reasons else 0)
                self._withheld.set(event.held_records)

    def serve(self, served: ModelLabels) -> None:
        """Set the labels of the package that serves from now on."""
        self._model_info.clear()
        self._model_info.labels(
            self._pipeline, served.model, served.version, served.digest, served.runtime
        ).set(1)

    def follow(self, polled_at: float) -> None:
        """Set when the deployer last asked for the desired deployment, in Unix seconds."""
        self._last_followed.set(polled_at)

    def labelled(self, totals: Mapping[str, int], waiting: LabelsWaiting) -> None:
        """Set the totals of label outcomes, over this process and earlier ones, and what waits now."""
        for fate, total in totals.items():
            self._labels.labels(self._pipeline, fate).inc(max(0, total - self._labels_told.get(fate, 0)))
        self._labels_told = dict(totals)
        self._label_coverage.set(waiting.coverage)
        self._label_pending.set(waiting.records)
        self._label_pending_bytes.set(waiting.size_bytes)

    def incidents(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Set the number of open incidents by kind and severity."""
        for (kind, severity), count in counts.items():
            self._open_incidents.labels(self._pipeline, kind, severity).set(count)

    def _read(self, event: ReadFinished) -> None:
        self._last_read.set(self._clock())
        if event.records:
            self._consumed.inc(event.records)
            self._read_s.observe(event.read_s)

    def _commit(self, event: BatchCommitted) -> None:
        self._committed.inc()
        self._batch_records.observe(event.records)
        self._step_s.observe(event.step_s)
        self._commit_s.observe(event.commit_s)
        self._predictions.labels(self._pipeline, event.model_version).inc(event.predicted)
        self._skipped.inc(event.skipped)
        for (stage, reason), count in event.rejected.items():
            self._failed.labels(self._pipeline, stage, reason).inc(count)

    def _measure_lag(self, lag_records: Mapping[Partition, int]) -> None:
        self._forget_lag(self._lagging.difference(lag_records))
        self._lagging = frozenset(lag_records)
        for partition, lag in lag_records.items():
            self._lag.labels(self._pipeline, partition.topic, str(partition.index)).set(lag)

    def _forget_lag(self, partitions: frozenset[Partition]) -> None:
        """Remove the lag of partitions of other workers: a stale gauge looks like a stuck partition."""
        for partition in partitions:
            self._lag.remove(self._pipeline, partition.topic, str(partition.index))
        self._lagging -= partitions
