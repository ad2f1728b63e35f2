"""Streams of observation frames in memory, to see what a monitor tells of them and when.

Drawn here, not by `benchmarks.drift_streams`: other columns, other distributions, and frames that are counted
without the step that observes. Event n is written at `START_MS` + n * `every_ms`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_NUMBER,
    ColumnSummary,
    ObservationFrame,
)
from stream_infer.drift.monitor import MonitorPolicy
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.flow.records import Batch, Channel, Cursor, Partition
from stream_infer.steps.monitoring.monitor import MonitorSettings, MonitorStep, RecordCodec
from stream_infer.steps.observing.frame_record import frame_columns

PIPELINE = "shop.orders"
START_MS = 1_750_000_000_000
WINDOW = 1_600
_DEFAULT_BATCH = 500
_FRAMES = Partition("observations", 0)
_READER = RecordReader(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE)

Floats = NDArray[np.float64]
Events = dict[str, NDArray[Any]]
"""Columns of events; NaN is a null, infinity a value that is not finite. `_dead` marks dead letters."""
Draw = Callable[[np.random.Generator, int], NDArray[Any]]
Fault = Callable[[Events, NDArray[np.bool_], np.random.Generator], None]
"""Changes the marked events in place."""

COLUMNS: Mapping[str, Draw] = {
    "height": lambda rng, n: rng.normal(170, 10, n),
    "weight": lambda rng, n: rng.normal(70, 12, n),
    "income": lambda rng, n: rng.lognormal(10, 0.8, n),
    "wait": lambda rng, n: rng.exponential(30, n),
    "age": lambda rng, n: rng.integers(18, 90, n).astype(float),
    "share": lambda rng, n: rng.beta(2, 5, n),
    "member": lambda rng, n: (rng.random(n) < 0.3).astype(float),
    "fraudulent": lambda rng, n: (rng.random(n) < 0.02).astype(float),
    "size": lambda rng, n: rng.integers(1, 4, n).astype(float),
    "colour": lambda rng, n: rng.choice(4, n, p=[0.5, 0.3, 0.15, 0.05]),
}
TEXTS = ("colour",)
COLOURS = 4


@dataclass(frozen=True, slots=True)
class Change:
    """A fault of the events from `start` to before `stop`, in one partition or all, for a share of them."""

    fault: Fault
    start: int = 0
    stop: int | None = None
    partition: int | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """A pipeline: its events, changes, models (digest by first event) and reference rows (0: none)."""

    events: int
    seed: int = 0
    changes: Sequence[Change] = ()
    partitions: int = 1
    rows: int = 5_000
    batch: int = _DEFAULT_BATCH
    every_ms: int = 10
    models: Mapping[int, str] = field(default_factory=lambda: {0: "sha256:a"})
    columns: Mapping[str, Draw] = field(default_factory=lambda: COLUMNS)


@dataclass(frozen=True, slots=True)
class Told:
    """A monitoring event, and the number of the event of the stream after which it was told."""

    at: int
    event: Mapping[str, Any]

    @property
    def state(self) -> str:
        """The state of the incident: open, updated, settled or resolved."""
        return str(self.event["attributes"].get("state", ""))

    @property
    def severity(self) -> str:
        """The severity: info, warning or critical."""
        return str(self.event["severity"])

    @property
    def summary(self) -> str:
        """The sentence."""
        return str(self.event["summary"])

    @property
    def about(self) -> tuple[str | None, str]:
        """The feature and the aspect that are named."""
        return self.event["drift"]["feature"], self.event["drift"]["signal"]


def nothing_readable(events: Events, where: NDArray[np.bool_], _: np.random.Generator) -> None:
    """Turn events into dead letters."""
    events["_dead"] |= where


def moved(name: str, by: float) -> Fault:
    """Add `by` to a feature."""

    def fault(events: Events, where: NDArray[np.bool_], _: np.random.Generator) -> None:
        events[name] = np.where(where, events[name] + by, events[name])

    return fault


def rescored(by: float) -> Fault:
    """Move the logit of the score, with no feature moving."""

    def fault(events: Events, where: NDArray[np.bool_], _: np.random.Generator) -> None:
        events["_logit"] = np.where(where, by, events["_logit"])

    return fault


def put(name: str, value: float) -> Fault:
    """Set a feature to a value: NaN is a null, infinity not finite, `COLOURS` a colour that is not known."""

    def fault(events: Events, where: NDArray[np.bool_], _: np.random.Generator) -> None:
        events[name] = np.where(where, value, events[name])

    return fault


def tell(line: Line, policy: MonitorPolicy | None = None, step: MonitorStep | None = None) -> list[Told]:
    """Return what a monitor tells about the drift and quality of a pipeline."""
    known = reference(line.rows, tuple(line.columns.items())) if line.rows else None
    monitor = step or monitor_step(policy, known)
    encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    found = []
    for number, (at, seen) in enumerate(frames(line, known)):
        now = START_MS + at * line.every_ms
        values = encoder.encode(frame_columns(PIPELINE, seen))
        found += [Told(at, event) for event in events_about(monitor, number, values, now)]
    return [one for one in found if one.event["drift"] is not None]


def events_about(
    monitor: MonitorStep, number: int, values: Sequence[bytes | None], now_ms: int
) -> list[dict[str, Any]]:
    """Return what `monitor` tells about the batch `number` of encoded frames."""
    outcome = monitor(_batch(number, values, now_ms))
    told = [v for out in outcome.outputs if out.channel is Channel.EVENTS for v in out.values]
    return [_READER.read(value or b"") for value in told]


def monitor_step(policy: MonitorPolicy | None, known: Reference | None) -> MonitorStep:
    """Return a monitor of the pipeline."""
    settings = MonitorSettings(PIPELINE, _FRAMES.topic, policy or MonitorPolicy())
    return MonitorStep(settings, lambda _: known, codec())


def codec() -> RecordCodec:
    """Return the reader of frames and the writer of events."""
    return RecordCodec(
        RecordReader(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE),
        RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE),
    )


@cache
def reference(rows: int, columns: tuple[tuple[str, Draw], ...] = tuple(COLUMNS.items())) -> Reference:
    """Return the reference of training rows of their own."""
    events = draw(np.random.default_rng(987), rows, dict(columns))
    events["score"] = _score(events)
    known = [_reference_column(name, events[name]) for name in (*dict(columns), "score")]
    return Reference(rows, {(column.kind, column.name): column for column in known})


def draw(rng: np.random.Generator, count: int, columns: Mapping[str, Draw]) -> Events:
    """Return events without fault."""
    return {name: column(rng, count) for name, column in columns.items()} | {
        "_dead": np.zeros(count, bool),
        "_logit": np.zeros(count),
    }


def frames(line: Line, known: Reference | None) -> Iterator[tuple[int, list[ObservationFrame]]]:
    """Yield the frames of each batch, and the number of events so far."""
    rng = np.random.default_rng(line.seed)
    for first in range(0, line.events, line.batch):
        numbers = np.arange(first, min(first + line.batch, line.events))
        events = draw(rng, len(numbers), line.columns)
        index = numbers % line.partitions
        for change in line.changes:
            where = (numbers >= change.start) & (numbers < (change.stop or line.events))
            where &= rng.random(len(numbers)) < change.share
            if change.partition is not None:
                where &= index == change.partition
            change.fault(events, where, rng)
        events["score"] = _score(events)
        sampled = rng.random(len(numbers)) < 1 / 8
        digest = line.models[max(start for start in line.models if start <= first)]
        offsets = numbers // line.partitions
        yield (
            int(numbers[-1]) + 1,
            [
                _frame(line, digest, int(p), events, (numbers, offsets, sampled), known, here)
                for p in range(line.partitions)
                for window in np.unique(offsets[index == p] // WINDOW)
                if (here := (index == p) & (offsets // WINDOW == window)).any()
            ],
        )


def _score(events: Events) -> Floats:
    """Return what a model of the height would say, moved by `_logit`."""
    logit = np.zeros(len(events["_dead"])) + events["_logit"]
    if "height" in events:
        logit += (np.nan_to_num(events["height"], nan=170.0, posinf=170.0) - 170) / 10
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def _frame(
    line: Line,
    digest: str,
    partition: int,
    events: Events,
    rows: tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]],
    known: Reference | None,
    here: NDArray[np.bool_],
) -> ObservationFrame:
    numbers, offsets, sampled = rows
    readable = here & ~events["_dead"]
    window = int(offsets[here][0]) // WINDOW * WINDOW
    times = START_MS + numbers[here] * line.every_ms
    return ObservationFrame(
        version=digest.removeprefix("sha256:"),
        digest=digest,
        source=Partition("orders", partition),
        first_offset=int(offsets[here].min()),
        last_offset=int(offsets[here].max()),
        window_first_offset=window,
        window_last_offset=window + WINDOW - 1,
        first_time_ms=int(times.min()),
        last_time_ms=int(times.max()),
        records=int(here.sum()),
        dead_letters=int((here & events["_dead"]).sum()),
        sampled=int((readable & sampled).sum()),
        signals=tuple(
            _summary(name, events[name], readable, sampled, known) for name in (*line.columns, "score")
        ),
    )


def _summary(
    name: str,
    values: NDArray[Any],
    readable: NDArray[np.bool_],
    sampled: NDArray[np.bool_],
    known: Reference | None,
) -> ColumnSummary:
    kind = _kind(name)
    column = None if known is None else known.column(kind, name)
    all_values = values[readable]
    missing = np.isnan(all_values.astype(float))
    finite = np.isfinite(all_values.astype(float))
    summary = ColumnSummary(name, kind, nulls=int(missing.sum()), non_finite=int((~finite & ~missing).sum()))
    looked = all_values[finite & sampled[readable]]
    if not len(looked):
        return replace(summary, bins=() if column is None else (0,) * len(column.shares))
    bins: tuple[int, ...] = ()
    if kind == FEATURE_CATEGORY:
        counts = np.bincount(looked.astype(int), minlength=COLOURS + 1)
        summary, bins = replace(summary, count=len(looked)), tuple(int(n) for n in counts)
        return replace(summary, bins=bins if column is not None else ())
    if column is not None:
        bins = tuple(int(n) for n in _binned(looked, column.edges))
    mean = float(looked.mean())
    return replace(
        summary,
        count=len(looked),
        mean=mean,
        m2=float(((looked - mean) ** 2).sum()),
        low=float(looked.min()),
        high=float(looked.max()),
        bins=bins,
    )


def _reference_column(name: str, values: NDArray[Any]) -> ReferenceColumn:
    kind, rows = _kind(name), len(values)
    if kind == FEATURE_CATEGORY:
        counts = np.bincount(values.astype(int), minlength=COLOURS + 1) / rows
        names = ("blue", "green", "red", "white")
        return ReferenceColumn(name, kind, rows, categories=names, shares=tuple(counts.tolist()))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, 11)))
    if len(edges) == 1:
        edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
    return ReferenceColumn(
        name,
        kind,
        rows,
        mean=float(values.mean()),
        stddev=float(values.std()),
        low=float(values.min()),
        high=float(values.max()),
        edges=tuple(edges.tolist()),
        shares=tuple((_binned(values, tuple(edges.tolist())) / rows).tolist()),
    )


def _binned(values: NDArray[Any], edges: tuple[float, ...]) -> NDArray[np.int64]:
    """Count values below the edges, in each bin (the last one closed), and above."""
    place = np.searchsorted(edges, values, side="right")
    place[values == edges[-1]] = len(edges) - 1
    return np.bincount(place, minlength=len(edges) + 1)


def _kind(name: str) -> str:
    if name == "score":
        return OUTPUT_NUMBER
    return FEATURE_CATEGORY if name in TEXTS else FEATURE_NUMBER


def _batch(number: int, values: Sequence[bytes | None], now_ms: int) -> Batch:
    count = len(values)
    return Batch(
        cursor=Cursor({}),
        partitions=[_FRAMES],
        partition=[0] * count,
        offset=list(range(number * 1_000, number * 1_000 + count)),
        timestamp_ms=[now_ms] * count,
        keys=[None] * count,
        values=list(values),
        headers=[None] * count,
        received_ms=now_ms,
    )
