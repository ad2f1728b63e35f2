"""The metrics of a server: those of the stream where the thing is the same, and those of requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from stream_infer.flow.records import Rejected
from stream_infer.models.load import Model
from stream_infer.ops.metric_families import MetricFamilies
from stream_infer.ops.metrics import Build
from stream_infer.steps.scoring.answers import RowAnswer


class ServingMetrics:
    """Counts what a server does, on a registry of its own. Any thread may call it."""

    def __init__(self, pipeline: str, build: Build) -> None:
        families = MetricFamilies()
        self.registry: CollectorRegistry = families.registry
        self._pipeline = pipeline
        self._model_info = families.gauge("stream_infer_model_info")
        self._consumed = families.counter("stream_infer_events_consumed_total").labels(pipeline)
        self._predictions = families.counter("stream_infer_predictions_total")
        self._failed = families.counter("stream_infer_records_failed_total")
        self._batch_records = families.histogram("stream_infer_batch_records").labels(pipeline)
        self._pass_s = families.histogram("stream_infer_stage_duration_seconds").labels(pipeline, "step")
        self._request_s = families.histogram("stream_infer_request_duration_seconds")
        self._in_flight = families.gauge("stream_infer_requests_in_flight").labels(pipeline)
        self._queue_s = families.histogram("stream_infer_queue_duration_seconds").labels(pipeline)
        self._queue_records = families.gauge("stream_infer_queue_records").labels(pipeline)
        self._connections = families.gauge("stream_infer_connections").labels(pipeline)
        self._ended = families.counter("stream_infer_connections_ended_total")
        families.gauge("stream_infer_build_info").labels(pipeline, build.version, build.python).set(1)

    def show(self, model: Model, waiting_rows: int) -> None:
        """Set the model that serves now, and the rows that wait."""
        manifest = model.manifest
        self._model_info.clear()
        self._model_info.labels(
            self._pipeline, manifest.name, manifest.version, model.digest, manifest.runtime
        ).set(1)
        self._queue_records.set(waiting_rows)

    def begin(self) -> None:
        """Take note that a request is in flight."""
        self._in_flight.inc()

    def end(self, endpoint: str, status: int | str, seconds: float) -> None:
        """Take note that a request was answered."""
        self._in_flight.dec()
        self._request_s.labels(self._pipeline, endpoint, str(status)).observe(seconds)

    def connected(self, connections: int) -> None:
        """Set the number of open connections."""
        self._connections.set(connections)

    def cut(self, reason: str) -> None:
        """Take note that a limit has ended a connection."""
        self._ended.labels(self._pipeline, reason).inc()

    def scored(self, rows: int, seconds: float, waited_s: Sequence[float]) -> None:
        """Take note of a pass, and how long its requests had waited for it."""
        self._batch_records.observe(rows)
        self._pass_s.observe(seconds)
        for one in waited_s:
            self._queue_s.observe(one)

    def answered(self, version: str, answers: Sequence[RowAnswer]) -> None:
        """Take note of the answers to the rows of a request."""
        self._consumed.inc(len(answers))
        rejected = [answer for answer in answers if isinstance(answer, Rejected)]
        self._predictions.labels(self._pipeline, version).inc(len(answers) - len(rejected))
        for (stage, reason), count in Counter((one.stage, one.error_class) for one in rejected).items():
            self._failed.labels(self._pipeline, stage, reason).inc(count)
