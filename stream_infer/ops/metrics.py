"""Every metric of the worker: the table that defines them and the observer that fills them.

One update per batch, on children bound in advance. Labels are bounded: a stage, a class, a version, a
partition; never a key or an offset. How the text leaves the process is in `ops.http`.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

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


class MetricKind(StrEnum):
    """What Prometheus may do with a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table. `labels` come after `pipeline`, which all have; `buckets` are in `unit`."""

    name: str
    kind: MetricKind
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RECORDS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0)

TABLE: tuple[Metric, ...] = (
    Metric(
        "stream_infer_build_info",
        MetricKind.GAUGE,
        "",
        "Always 1: the version of stream_infer and of Python.",
        ("version", "python"),
    ),
    Metric(
        "stream_infer_model_info",
        MetricKind.GAUGE,
        "",
        "Always 1: the model package that serves now.",
        ("model", "version", "digest", "runtime"),
    ),
    Metric(
        "stream_infer_events_consumed_total",
        MetricKind.COUNTER,
        "records",
        "Records read, and those of an aborted batch again each time they are read.",
    ),
    Metric(
        "stream_infer_predictions_total",
        MetricKind.COUNTER,
        "records",
        "Predictions committed, by the version of the model that made them.",
        ("version",),
    ),
    Metric(
        "stream_infer_records_failed_total",
        MetricKind.COUNTER,
        "records",
        "Dead letters committed, by the stage that turned the record away and why.",
        ("stage", "reason"),
    ),
    Metric(
        "stream_infer_records_skipped_total",
        MetricKind.COUNTER,
        "records",
        "Records passed over because the configuration asked for it.",
    ),
    Metric(
        "stream_infer_batch_records",
        MetricKind.HISTOGRAM,
        "records",
        "Size of committed batches.",
        buckets=_RECORDS,
    ),
    Metric(
        "stream_infer_batch_limit_records",
        MetricKind.GAUGE,
        "records",
        "Most records that the next batch may have: small towards the latency goal, large when behind.",
    ),
    Metric(
        "stream_infer_commit_interval_seconds",
        MetricKind.GAUGE,
        "seconds",
        "Least time between two batches that are not full.",
    ),
    Metric(
        "stream_infer_expected_cost_seconds",
        MetricKind.GAUGE,
        "seconds",
        "Measured cost that steers the batches: of a batch whatever is in it, and of each record.",
        ("of",),
    ),
    Metric(
        "stream_infer_stage_duration_seconds",
        MetricKind.HISTOGRAM,
        "seconds",
        "Time of a batch in read (only reads that brought records), step and commit.",
        ("stage",),
        _SECONDS,
    ),
    Metric(
        "stream_infer_transactions_total",
        MetricKind.COUNTER,
        "batches",
        "Batches by result: committed, or aborted and read again.",
        ("result",),
    ),
    Metric(
        "stream_infer_producer_renewals_total",
        MetricKind.COUNTER,
        "producers",
        "Producers replaced by one with a new epoch because they were in doubt.",
    ),
    Metric(
        "stream_infer_rebalances_total",
        MetricKind.COUNTER,
        "rebalances",
        "Changes of the partitions owned: assigned, revoked, lost.",
        ("kind",),
    ),
    Metric(
        "stream_infer_assigned_partitions",
        MetricKind.GAUGE,
        "partitions",
        "Partitions that this worker owns.",
    ),
    Metric(
        "stream_infer_held_partitions",
        MetricKind.GAUGE,
        "partitions",
        "Partitions that wait for the schema of their next record.",
    ),
    Metric(
        "stream_infer_degraded",
        MetricKind.GAUGE,
        "",
        "1 while the worker goes on without (a part of) its monitoring, else 0; /readyz says why.",
    ),
    Metric(
        "stream_infer_withheld_records",
        MetricKind.GAUGE,
        "records",
        "Observation frames and events that wait until their topic takes records again.",
    ),
    Metric(
        "stream_infer_consumer_lag_records",
        MetricKind.GAUGE,
        "records",
        "Records between the worker and the end of each partition it owns.",
        ("topic", "partition"),
    ),
    Metric(
        "stream_infer_last_read_timestamp_seconds",
        MetricKind.GAUGE,
        "seconds",
        "Unix time at which a read last returned, with or without records.",
    ),
    Metric(
        "stream_infer_labels_total",
        MetricKind.COUNTER,
        "records",
        "What became of the labels of closed windows: joined, early, late, double, conflicting, unknown, "
        "unsampled, invalid.",
        ("fate",),
    ),
    Metric(
        "stream_infer_label_coverage_ratio",
        MetricKind.GAUGE,
        "",
        "Part of the predictions that is remembered for its labels: a sample over the memory's budget.",
    ),
    Metric(
        "stream_infer_label_pending_records",
        MetricKind.GAUGE,
        "records",
        "Predictions and labels that are remembered.",
    ),
)

_BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in TABLE}


@dataclass(frozen=True, slots=True)
class Build:
    """What runs: the version of stream_infer and of Python."""

    version: str
    python: str = platform.python_version()


@dataclass(frozen=True, slots=True)
class ModelLabels:
    """What `model_info` says of the package that serves."""

    model: str
    version: str
    digest: str
    runtime: str


class Metrics:
    """An observer that turns events into metrics on a registry of its own, one per process.

    Called on the loop's thread; a scrape reads from another, which prometheus_client allows.
    """

    def __init__(self, pipeline: str, *, build: Build, clock: Callable[[], float] = time.time) -> None:
        # One more series per counter that nobody reads; the switch is the library's, for the whole process.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library forgot its `-> None`
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._pipeline = pipeline
        self._clock = clock
        self._model_info = self._gauge("stream_infer_model_info")
        self._consumed = self._counter("stream_infer_events_consumed_total").labels(pipeline)
        self._predictions = self._counter("stream_infer_predictions_total")
        self._failed = self._counter("stream_infer_records_failed_total")
        self._skipped = self._counter("stream_infer_records_skipped_total").labels(pipeline)
        self._batch_records = self._histogram("stream_infer_batch_records").labels(pipeline)
        self._limit = self._gauge("stream_infer_batch_limit_records").labels(pipeline)
        self._interval_s = self._gauge("stream_infer_commit_interval_seconds").labels(pipeline)
        cost = self._gauge("stream_infer_expected_cost_seconds")
        self._batch_cost_s = cost.labels(pipeline, "batch")
        self._record_cost_s = cost.labels(pipeline, "record")
        duration = self._histogram("stream_infer_stage_duration_seconds")
        self._read_s = duration.labels(pipeline, "read")
        self._step_s = duration.labels(pipeline, "step")
        self._commit_s = duration.labels(pipeline, "commit")
        transactions = self._counter("stream_infer_transactions_total")
        self._committed = transactions.labels(pipeline, "committed")
        self._aborted = transactions.labels(pipeline, "aborted")
        self._renewals = self._counter("stream_infer_producer_renewals_total").labels(pipeline)
        self._rebalances = self._counter("stream_infer_rebalances_total")
        self._assigned = self._gauge("stream_infer_assigned_partitions").labels(pipeline)
        self._held = self._gauge("stream_infer_held_partitions").labels(pipeline)
        self._degraded = self._gauge("stream_infer_degraded").labels(pipeline)
        self._withheld = self._gauge("stream_infer_withheld_records").labels(pipeline)
        self._lag = self._gauge("stream_infer_consumer_lag_records")
        self._lagging: frozenset[Partition] = frozenset()
        self._last_read = self._gauge("stream_infer_last_read_timestamp_seconds").labels(pipeline)
        self._labels = self._counter("stream_infer_labels_total")
        self._labels_told: Mapping[str, int] = {}
        self._label_coverage = self._gauge("stream_infer_label_coverage_ratio").labels(pipeline)
        self._label_pending = self._gauge("stream_infer_label_pending_records").labels(pipeline)
        self._gauge("stream_infer_build_info").labels(pipeline, build.version, build.python).set(1)

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
                self._pace(event)
            case LagMeasured():
                self._measure_lag(event.lag_records)
            case PartitionsPaused():
                self._held.set(len(event.paused))
            case Degraded():
                self._degraded.set(1 if event.reasons else 0)
                self._withheld.set(event.held_records)

    def serve(self, served: ModelLabels) -> None:
        """Say which package serves from now on; the one before is no longer named."""
        self._model_info.clear()
        self._model_info.labels(
            self._pipeline, served.model, served.version, served.digest, served.runtime
        ).set(1)

    def labelled(self, totals: Mapping[str, int], *, coverage: float, pending: int) -> None:
        """Say what became of labels so far, in this process and those before it."""
        for fate, total in totals.items():
            self._labels.labels(self._pipeline, fate).inc(max(0, total - self._labels_told.get(fate, 0)))
        self._labels_told = dict(totals)
        self._label_coverage.set(coverage)
        self._label_pending.set(pending)

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

    def _pace(self, event: Paced) -> None:
        self._limit.set(event.limit_records)
        self._interval_s.set(event.interval_s)
        self._batch_cost_s.set(event.batch_s)
        self._record_cost_s.set(event.record_s)

    def _measure_lag(self, lag_records: Mapping[Partition, int]) -> None:
        self._forget_lag(self._lagging.difference(lag_records))
        self._lagging = frozenset(lag_records)
        for partition, lag in lag_records.items():
            self._lag.labels(self._pipeline, partition.topic, str(partition.index)).set(lag)

    def _forget_lag(self, partitions: frozenset[Partition]) -> None:
        """Drop the lag of partitions that others own now: a stale gauge looks like a stuck partition."""
        for partition in partitions:
            self._lag.remove(self._pipeline, partition.topic, str(partition.index))
        self._lagging -= partitions

    def _counter(self, name: str) -> Counter:
        metric = _of_kind(name, MetricKind.COUNTER)
        return Counter(name, metric.meaning, ("pipeline", *metric.labels), registry=self.registry)

    def _gauge(self, name: str) -> Gauge:
        metric = _of_kind(name, MetricKind.GAUGE)
        return Gauge(name, metric.meaning, ("pipeline", *metric.labels), registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        metric = _of_kind(name, MetricKind.HISTOGRAM)
        labels = ("pipeline", *metric.labels)
        return Histogram(name, metric.meaning, labels, registry=self.registry, buckets=metric.buckets)


def _of_kind(name: str, kind: MetricKind) -> Metric:
    metric = _BY_NAME[name]
    if metric.kind is not kind:
        raise TypeError(f"{name} is a {metric.kind}, not a {kind}")
    return metric
