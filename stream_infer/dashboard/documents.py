"""What the page gets of a pipeline's state: JSON values by section. Texts are plain, never markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from stream_infer.dashboard.incident_history import IncidentRecord
from stream_infer.dashboard.pipeline_state import LagView, PipelineState
from stream_infer.dashboard.time_buckets import SPANS
from stream_infer.dashboard.version_metrics import MetricRecord

Document = Mapping[str, Any]

_RANGES_SHOWN = 50
_PARTITIONS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class ReadingProgress:
    """How far the history is read: `share` from 0 to 1, and the seconds that it has taken."""

    share: float
    seconds: float
    caught_up: bool


def head_document(state: PipelineState, pipeline: str, reading: ReadingProgress, now_ms: int) -> Document:
    """Return the figures at the top of the page."""
    found = state.incidents.ordered()
    return {
        "pipeline": pipeline,
        "now_ms": now_ms,
        "reading": asdict(reading),
        "troubles": list(state.troubles),
        "unreadable": state.unreadable,
        "records": state.traffic.records,
        "dead_letters": state.traffic.dead_letters,
        "events": state.events,
        "traffic": state.traffic.now(now_ms),
        "lag": _lag(state.lag),
        "open_incidents": sum(one.is_open for one in found),
        "desired": state.timeline.desired,
    }


def series_document(state: PipelineState, now_ms: int) -> Document:
    """Return throughput, latency and dead letters over each span of time."""
    return {
        span.name: {
            "width_ms": span.width_ms,
            "traffic": state.traffic.series(span, now_ms),
            "letters": {
                reason: {"time_ms": starts, "count": counts}
                for reason, (starts, counts) in state.letters.series(span, now_ms).items()
            },
        }
        for span in SPANS
    }


def workers_document(state: PipelineState) -> Document:
    """Return the workers by name, and the lag of the partitions that have most of it."""
    behind = sorted(state.lag.partitions, key=lambda one: (-one.records, one.partition))
    return {
        "workers": [asdict(one) for _, one in sorted(state.workers.items())],
        "partitions": [
            {"name": f"{p.partition.topic}/{p.partition.index}", "records": p.records, "exact": p.exact}
            for p in behind[:_PARTITIONS_SHOWN]
            if p.records
        ],
        "partitions_total": len(behind),
    }


def timeline_document(state: PipelineState) -> Document:
    """Return the timeline of the model, newest first."""
    return {
        "entries": [
            {
                "time_ms": one.time_ms,
                "type": one.type,
                "severity": one.severity,
                "sentence": one.sentence,
                **_ranges(one.ranges),
            }
            for one in state.timeline.newest_first()
        ]
    }


def incidents_document(state: PipelineState) -> Document:
    """Return the incidents, open ones first."""
    return {"incidents": [_incident(one) for one in state.incidents.ordered()]}


def metrics_document(state: PipelineState) -> Document:
    """Return the metrics of each version."""
    return {
        "versions": [
            {"version": version, "metrics": {name: _metric(one) for name, one in sorted(metrics.items())}}
            for version, metrics in state.metrics.by_version()
        ]
    }


def letters_document(state: PipelineState) -> Document:
    """Return the dead letters by reason, and the newest of them."""
    return {
        "by_class": dict(state.letters.by_class.most_common()),
        "newest": [asdict(one) for one in state.letters.newest_first()],
    }


def finite(value: object) -> object:
    """Return `value` with None for every number that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    return [finite(one) for one in value] if isinstance(value, list | tuple) else value


def _lag(lag: LagView) -> Document:
    return {"records": lag.records, "exact": lag.exact, "unknown": lag.unknown}


def _incident(one: IncidentRecord) -> Document:
    return {
        "id": one.id,
        "state": one.state,
        "open": one.is_open,
        "severity": one.severity,
        "signal": one.signal,
        "features": list(one.features),
        "members": list(one.members),
        "model_version": one.model_version,
        "opened_ms": one.opened_ms,
        "left_out": one.left_out,
        "told": [asdict(told) for told in one.told],
        **_ranges(one.ranges),
    }


def _ranges(ranges: Sequence[Mapping[str, Any]]) -> Document:
    shown = [
        {"place": f"{r['topic']}/{r['partition']}", "first": r["first_offset"], "last": r["last_offset"]}
        for r in ranges[:_RANGES_SHOWN]
    ]
    return {"ranges": shown, "ranges_total": len(ranges)}


def _metric(one: MetricRecord) -> Document:
    windows = one.by_time()
    return {
        "newest": one.newest(),
        "overall": one.overall(),
        "labels": one.labels,
        "reference": one.reference,
        "label_delay_ms": one.label_delay_ms,
        "coverage": one.coverage,
        "time_ms": [window.time_ms for window in windows],
        "value": [window.value for window in windows],
    }
