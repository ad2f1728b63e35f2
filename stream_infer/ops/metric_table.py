"""Every metric of a worker, monitor or server: name, kind, unit, meaning, labels.

Labels have few values: a stage, a class, a version, a partition; never a key or an offset.
`docs/reference/metrics.md` is generated from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MetricKind(StrEnum):
    """Type of a metric in Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table. Every metric has the label `pipeline` first; `buckets` are in `unit`."""

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
        "Always 1; the labels have the versions of stream_infer and Python.",
        ("version", "python"),
    ),
    Metric(
        "stream_infer_model_info",
        MetricKind.GAUGE,
        "",
        "Always 1; the labels have the model package that serves now.",
        ("model", "version", "digest", "runtime"),
    ),
    Metric(
        "stream_infer_events_consumed_total",
        MetricKind.COUNTER,
        "records",
        "Records read. Records of an aborted batch are read, and counted, again. Over HTTP: rows asked.",
    ),
    Metric(
        "stream_infer_predictions_total",
        MetricKind.COUNTER,
        "records",
        "Predictions committed, or answered over HTTP, by model version.",
        ("version",),
    ),
    Metric(
        "stream_infer_records_failed_total",
        MetricKind.COUNTER,
        "records",
        "Dead letters committed, by the stage that rejected the record and by class. In the monitor: records "
        "that it refused. Over HTTP: rows that have an error for an answer.",
        ("stage", "reason"),
    ),
    Metric(
        "stream_infer_records_skipped_total",
        MetricKind.COUNTER,
        "records",
        "Records skipped because the configuration says so (tombstones).",
    ),
    Metric(
        "stream_infer_batch_records",
        MetricKind.HISTOGRAM,
        "records",
        "Records in a committed batch. Over HTTP: rows in a pass of the model, across requests.",
        buckets=_RECORDS,
    ),
    Metric(
        "stream_infer_batch_limit_records",
        MetricKind.GAUGE,
        "records",
        "Most records in the next batch: few to keep the latency goal, many to work off a backlog.",
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
        "Measured time per batch (of=batch) and per record (of=record), which the batch limit follows from.",
        ("of",),
    ),
    Metric(
        "stream_infer_stage_duration_seconds",
        MetricKind.HISTOGRAM,
        "seconds",
        "Time of a batch in each stage: read (reads with records only), step, commit. Over HTTP: step, a "
        "pass of the model.",
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
        "Producers replaced by one with a new epoch because the result of a transaction was in doubt.",
    ),
    Metric(
        "stream_infer_rebalances_total",
        MetricKind.COUNTER,
        "rebalances",
        "Changes of the assignment, by kind: assigned, revoked, lost.",
        ("kind",),
    ),
    Metric(
        "stream_infer_assigned_partitions",
        MetricKind.GAUGE,
        "partitions",
        "Partitions assigned to this worker.",
    ),
    Metric(
        "stream_infer_held_partitions",
        MetricKind.GAUGE,
        "partitions",
        "Partitions paused until the schema of their next record is known, or their output has a partition.",
        ("cause",),
    ),
    Metric(
        "stream_infer_degraded",
        MetricKind.GAUGE,
        "",
        "1 while monitoring is incomplete, else 0; /readyz has the reasons.",
    ),
    Metric(
        "stream_infer_withheld_records",
        MetricKind.GAUGE,
        "records",
        "Observation frames and monitoring events in memory until their topic takes records again.",
    ),
    Metric(
        "stream_infer_consumer_lag_records",
        MetricKind.GAUGE,
        "records",
        "Records between the position of the worker and the end of each assigned partition.",
        ("topic", "partition"),
    ),
    Metric(
        "stream_infer_last_read_timestamp_seconds",
        MetricKind.GAUGE,
        "seconds",
        "Unix time of the last return of a read, with or without records.",
    ),
    Metric(
        "stream_infer_last_followed_timestamp_seconds",
        MetricKind.GAUGE,
        "seconds",
        "Unix time at which the worker last asked for the desired deployment; 0 with a fixed package.",
    ),
    Metric(
        "stream_infer_labels_total",
        MetricKind.COUNTER,
        "records",
        "Labels of closed windows, by outcome: joined, early, late, double, conflicting, unknown, "
        "unsampled, invalid.",
        ("fate",),
    ),
    Metric(
        "stream_infer_label_coverage_ratio",
        MetricKind.GAUGE,
        "",
        "Share of the predictions that wait for labels in memory; below 1 above `max_pending` or "
        "`max_pending_bytes`.",
    ),
    Metric(
        "stream_infer_label_pending_records",
        MetricKind.GAUGE,
        "records",
        "Predictions and labels in memory.",
    ),
    Metric(
        "stream_infer_label_pending_bytes",
        MetricKind.GAUGE,
        "bytes",
        "Memory that they take, with their stored state: an estimate, bounded by `max_pending_bytes`.",
    ),
    Metric(
        "stream_infer_open_incidents",
        MetricKind.GAUGE,
        "incidents",
        "Incidents that are not over, of a monitor. Kinds: drift, quality, errors, liveness.",
        ("kind", "severity"),
    ),
    Metric(
        "stream_infer_request_duration_seconds",
        MetricKind.HISTOGRAM,
        "seconds",
        "Time of a request over HTTP from its head to its answer, by endpoint and status.",
        ("endpoint", "status"),
        _SECONDS,
    ),
    Metric(
        "stream_infer_requests_in_flight",
        MetricKind.GAUGE,
        "requests",
        "Requests over HTTP that have no answer yet.",
    ),
    Metric(
        "stream_infer_queue_duration_seconds",
        MetricKind.HISTOGRAM,
        "seconds",
        "Time that a request waits until its pass of the model begins.",
        buckets=_SECONDS,
    ),
    Metric(
        "stream_infer_queue_records",
        MetricKind.GAUGE,
        "records",
        "Rows of requests that wait for a pass of the model.",
    ),
    Metric(
        "stream_infer_connections",
        MetricKind.GAUGE,
        "connections",
        "Open connections of the server.",
    ),
    Metric(
        "stream_infer_connections_ended_total",
        MetricKind.COUNTER,
        "connections",
        "Connections ended by a limit: slow_head, slow_body, large_head, displaced by another one, full.",
        ("reason",),
    ),
)
