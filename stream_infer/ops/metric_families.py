"""The families of `metric_table` on a registry of their own, with the figures of the process."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

from stream_infer.ops.metric_table import TABLE, Metric, MetricKind

_BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in TABLE}


class MetricFamilies:
    """Makes families by name. Each has the label `pipeline` first. Raises `TypeError` for another kind."""

    def __init__(self) -> None:
        # Without it each counter has a second series, `_created`. The switch is for the whole process.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library lacks the annotation
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

    def counter(self, name: str) -> Counter:
        """Return a new counter."""
        metric = _of_kind(name, MetricKind.COUNTER)
        return Counter(name, metric.meaning, ("pipeline", *metric.labels), registry=self.registry)

    def gauge(self, name: str) -> Gauge:
        """Return a new gauge."""
        metric = _of_kind(name, MetricKind.GAUGE)
        return Gauge(name, metric.meaning, ("pipeline", *metric.labels), registry=self.registry)

    def histogram(self, name: str) -> Histogram:
        """Return a new histogram."""
        metric = _of_kind(name, MetricKind.HISTOGRAM)
        labels = ("pipeline", *metric.labels)
        return Histogram(name, metric.meaning, labels, registry=self.registry, buckets=metric.buckets)


def _of_kind(name: str, kind: MetricKind) -> Metric:
    metric = _BY_NAME[name]
    if metric.kind is not kind:
        raise TypeError(f"{name} is a {metric.kind}, not a {kind}")
    return metric
