"""Frames and monitoring events as the topics of a pipeline hold them, for tests of the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_infer.drift.frames import FEATURE_CATEGORY, FEATURE_NUMBER, ColumnSummary, ObservationFrame
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.flow.records import Partition

NOW_MS = 1_800_000_000_000
DIGEST = "sha256:one"
AMOUNT = ReferenceColumn(
    "amount", FEATURE_NUMBER, 1_000, mean=10.0, stddev=2.0, low=0.0, high=20.0, edges=(0.0, 10.0, 20.0),
    shares=(0.0, 0.5, 0.5, 0.0),
)  # fmt: skip
CITY = ReferenceColumn(
    "city", FEATURE_CATEGORY, 1_000, categories=("berlin", "paris"), shares=(0.5, 0.5, 0.0)
)
REFERENCE = Reference(1_000, {(one.kind, one.name): one for one in (AMOUNT, CITY)})


def reference_of(digest: str) -> Reference | None:
    """Return the reference of the one package that has one."""
    return REFERENCE if digest == DIGEST else None


def amounts(count: int, mean: float, bins: tuple[int, ...] = (), **fields: int) -> ColumnSummary:
    """Return the summary of `count` amounts."""
    low_half = count // 2
    bins = bins or (0, low_half, count - low_half, 0)
    return ColumnSummary(
        "amount", FEATURE_NUMBER, count, mean=mean, m2=4.0 * count, low=1, high=19, bins=bins, **fields
    )


def cities(*bins: int) -> ColumnSummary:
    """Return the summary of a category with so many values in Berlin, in Paris and elsewhere."""
    return ColumnSummary("city", FEATURE_CATEGORY, sum(bins), bins=bins)


def frame(
    signals: Sequence[ColumnSummary],
    *,
    partition: int = 0,
    first: int = 0,
    records: int = 1_600,
    dead_letters: int = 0,
    digest: str = DIGEST,
    times: tuple[int, int] = (NOW_MS - 300, NOW_MS - 100),
) -> ObservationFrame:
    """Return a frame of `records` events from offset `first` on."""
    last = first + records - 1
    sampled = max((one.count for one in signals), default=0)
    return ObservationFrame(
        "1.0.0", digest, Partition("events", partition), first, last, first, last, *times, records,
        dead_letters, sampled, tuple(signals),
    )  # fmt: skip


def event(kind: str, incident: str | None = None, **fields: Any) -> Mapping[str, Any]:
    """Return a monitoring event; `fields` replace those that most events have."""
    told: dict[str, Any] = {
        "id": f"{kind}/{incident}/{fields.get('time', NOW_MS)}",
        "type": kind,
        "severity": "warning",
        "time": NOW_MS,
        "pipeline": "shop",
        "incident_id": incident,
        "summary": f"{kind} of {incident}",
        "model_version": "1.0.0",
        "model_digest": DIGEST,
        "instance": None,
        "ranges": [],
        "drift": None,
        "performance": None,
        "model": None,
        "attributes": {},
    }
    return told | fields


def drift(feature: str | None, signal: str = "mean") -> Mapping[str, Any]:
    """Return the field `drift` of an event about a feature."""
    return {"feature": feature, "signal": signal}


def measured(metric: str, value: float, labelled: int, **fields: Any) -> Mapping[str, Any]:
    """Return the field `performance` of an event."""
    told = {
        "metric": metric,
        "value": value,
        "reference_value": None,
        "predictions": labelled,
        "labelled": labelled,
        "label_delay_p50_ms": 2_000,
    }
    return told | fields
