"""Streams of any columns through the real frames, windows and detectors, and what the monitor tells of them.

Columns are whole arrays (events): numbers, where NaN is a null, or text. No Kafka and no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.drift_streams import START_MS, in_name_only
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import NO_DEFAULT, Leaf
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.incident import IncidentChange, IncidentOpened
from stream_infer.drift.monitor import Monitor, MonitorPolicy, ReferenceMissing
from stream_infer.drift.reference import Reference, parse_reference
from stream_infer.flow.records import Batch, Cursor, Partition
from stream_infer.models.load import Model
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Scores
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.reference import summarise_reference
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.observing.scored import ScoredRows

Columns = Mapping[str, NDArray[Any]]
LABELS = "_label"
"""The column of the labels that the model gives, where there are any."""


@dataclass(frozen=True)
class Recording:
    """Events in columns. Event n is written at `START_MS` + n * `every_ms`, or at `times_ms` where given."""

    columns: Columns
    training: Columns | None = None
    every_ms: int = 10
    times_ms: NDArray[np.int64] | None = None
    partitions: int = 1
    batch: int = 1_600

    @property
    def events(self) -> int:
        """The number of events."""
        return len(next(iter(self.columns.values())))

    @property
    def written_ms(self) -> NDArray[np.int64]:
        """The times of the events (events)."""
        if self.times_ms is not None:
            return self.times_ms
        return START_MS + np.arange(self.events, dtype=np.int64) * self.every_ms


@dataclass(frozen=True, slots=True)
class Noticed:
    """A change of an incident, and the number of the event after which the monitor told it."""

    at: int
    change: IncidentChange | ReferenceMissing
    frame: ObservationFrame

    @property
    def opens(self) -> bool:
        """Whether an incident opens."""
        return isinstance(self.change, IncidentOpened)

    @property
    def about(self) -> str:
        """The column and aspect of the incident."""
        if isinstance(self.change, ReferenceMissing):
            return self.change.reason
        signal = self.change.incident.alarm.signal
        return f"{signal.name}:{signal.aspect}"


@dataclass
class Watcher:
    """A monitor of recordings."""

    policy: MonitorPolicy = field(default_factory=MonitorPolicy)

    def watch(self, recording: Recording) -> list[Noticed]:
        """Return what the monitor tells of a recording."""
        known = trained(recording)
        self.monitor = Monitor("bench", self.policy, lambda _: known)
        return [
            Noticed(at, change, frame)
            for at, frame in observed(recording, known)
            for change in self.monitor.take(frame, frame.last_time_ms)
            if not isinstance(change, ReferenceMissing)
        ]


def opened(recording: Recording, policy: MonitorPolicy | None = None) -> list[Noticed]:
    """Return the incidents that open on a recording."""
    return [one for one in Watcher(policy or MonitorPolicy()).watch(recording) if one.opens]


def trained(recording: Recording) -> Reference | None:
    """Return the reference that the training rows of a recording make."""
    if recording.training is None:
        return None
    rows = {name: values for name, values in recording.training.items() if name != LABELS}
    frame = pd.DataFrame(rows)
    bound = [Bound(name, _leaf(name, _type(values))) for name, values in rows.items()]
    labels = recording.training.get(LABELS)
    said = Scores() if labels is None else _said(labels)
    return parse_reference(summarise_reference(frame, bound, said, _contract(recording)))


def observed(recording: Recording, known: Reference | None) -> Iterator[tuple[int, ObservationFrame]]:
    """Yield the frames, each with the number of the events so far."""
    encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    observe = Observe("bench", encoder, lambda _: known)
    model = _model(recording)
    arrays = {name: _array(values) for name, values in recording.columns.items() if name != LABELS}
    labels = recording.columns.get(LABELS)
    places = [Partition("bench.events", index) for index in range(recording.partitions)]
    times = recording.written_ms
    for first in range(0, recording.events, recording.batch):
        part = slice(first, min(first + recording.batch, recording.events))
        everything = np.arange(part.stop - first, dtype=np.intp)
        cut = {name: array.slice(first, len(everything)) for name, array in arrays.items()}
        said = Scores(label=np.empty(0, np.object_)) if labels is None else _said(labels[part])
        scored = everything[:0] if labels is None else everything
        batch = _batch(np.arange(part.start, part.stop), times[part], places)
        for frame in observe.frames(batch, model, ScoredRows(cut, everything, scored, said, ())):
            yield part.stop, frame


def _said(labels: NDArray[Any]) -> Scores:
    """Return answers whose scores say nothing."""
    return Scores(label=labels, score=np.full(len(labels), 0.5))


def _model(recording: Recording) -> Model:
    types = {name: _type(values) for name, values in recording.columns.items() if name != LABELS}
    return in_name_only("bench", "1.0.0", types, schema="bench.Event")


def _contract(recording: Recording) -> OutputContract:
    labels = recording.columns.get(LABELS)
    if labels is None:
        return OutputContract("classifier")
    return OutputContract("classifier", tuple(sorted(set(labels))), score="probability")


def _type(values: NDArray[Any]) -> str:
    return "string" if values.dtype == object else "double"


def _array(values: NDArray[Any]) -> pa.Array:
    return pa.array(values, pa.string() if values.dtype == object else pa.float64(), from_pandas=True)


def _leaf(name: str, kind: str) -> Leaf:
    return Leaf(name, kind, nullable=True, logical=None, default=NO_DEFAULT)


def _batch(at: NDArray[Any], times: NDArray[np.int64], places: Sequence[Partition]) -> Batch:
    count, parts = len(at), len(places)
    nothing: list[Any] = [None] * count
    return Batch(
        cursor=Cursor({}),
        partitions=places,
        partition=(at % parts).tolist(),
        offset=(at // parts).tolist(),
        timestamp_ms=times.tolist(),
        keys=nothing,
        values=nothing,
        headers=nothing,
        received_ms=int(times.max()),
    )
