"""Streams to test drift detection on: independent events, and changes of every kind from a given event on.

No Kafka and no model here: columns and scores as a worker would have them, through the real frames, windows,
detectors and incidents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import NO_DEFAULT, Leaf
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.incident import IncidentOpened, IncidentResolved
from stream_infer.drift.monitor import Monitor, MonitorPolicy
from stream_infer.drift.reference import Reference, parse_reference
from stream_infer.flow.records import Batch, Cursor, Partition
from stream_infer.models.load import Model
from stream_infer.models.manifest import Feature, InputColumn, Manifest, ModelInput, OutputContract, Policy
from stream_infer.models.scores import Scores
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.reference import summarise_reference
from stream_infer.steps.observing.observe import Observe, ObserveSettings
from stream_infer.steps.observing.scored import ScoredRows

Floats = NDArray[np.float64]
Event = Mapping[str, NDArray[Any]]

NORMALS = tuple(f"normal_{i}" for i in range(10))
SKEWED = tuple(f"skewed_{i}" for i in range(4))
COUNTS = ("count_0", "count_1")
FLAGS = ("flag_0", "flag_rare")
TEXTS = ("city", "device")
NAMES = (*NORMALS, *SKEWED, *COUNTS, *FLAGS, *TEXTS)
CITIES = np.array(["amsterdam", "berlin", "cairo", "delhi", "essen", "fez"], dtype=object)
CITY_SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.07, 0.03])
DEVICES = np.array(["phone", "desk"], dtype=object)
NULL_SHARE = 0.02
NULLABLE = "normal_9"
START_MS = 1_700_000_000_000
BATCH = 4_000


def draw(rng: np.random.Generator, count: int) -> dict[str, NDArray[Any]]:
    """Return `count` events of 20 features: normal, heavy-tailed, counts, flags, texts, one with nulls."""
    columns: dict[str, NDArray[Any]] = {name: rng.normal(size=count) for name in NORMALS}
    columns |= {name: rng.lognormal(3, 1, size=count) for name in SKEWED}
    columns |= {name: rng.poisson(4, size=count).astype(float) for name in COUNTS}
    columns["flag_0"] = (rng.random(count) < 0.3).astype(float)
    columns["flag_rare"] = (rng.random(count) < 0.01).astype(float)
    columns["city"] = CITIES[rng.choice(len(CITIES), size=count, p=CITY_SHARES)]
    columns["device"] = DEVICES[(rng.random(count) < 0.2).astype(int)]
    columns["_null"] = rng.random(count) < NULL_SHARE
    return columns


def score(columns: Event) -> Floats:
    """Return what a model of a few of the features would say."""
    logit = 0.8 * columns["normal_0"] + 0.5 * columns["normal_1"] + 0.02 * columns["skewed_0"] - 1.0
    return np.asarray(1 / (1 + np.exp(-np.clip(np.nan_to_num(logit, posinf=30, neginf=-30), -30, 30))))


Change = Callable[[dict[str, NDArray[Any]], Floats, np.random.Generator], None]
"""Changes events in place; the second argument is how far the change has come, 0 to 1, for each event."""


def shift(name: str, size: float) -> Change:
    """Add `size` standard deviations."""

    def change(columns: dict[str, NDArray[Any]], far: Floats, _: np.random.Generator) -> None:
        columns[name] = columns[name] + size * STDDEVS.get(name, 1.0) * far

    return change


STDDEVS = {name: float(np.sqrt((np.e - 1) * np.e) * np.exp(3)) for name in SKEWED} | dict.fromkeys(
    COUNTS, 2.0
)


def widen(name: str, factor: float) -> Change:
    """Multiply the deviation from the centre."""

    def change(columns: dict[str, NDArray[Any]], far: Floats, _: np.random.Generator) -> None:
        columns[name] = columns[name] * (1 + (factor - 1) * far)

    return change


def recategorise(name: str, value: str, share: float) -> Change:
    """Turn `share` of the events to `value`, which may be new."""

    def change(columns: dict[str, NDArray[Any]], far: Floats, rng: np.random.Generator) -> None:
        columns[name] = np.where(rng.random(len(far)) < share * far, value, columns[name])

    return change


def lose(share: float) -> Change:
    """Turn `share` of the nullable column to nulls."""

    def change(columns: dict[str, NDArray[Any]], far: Floats, rng: np.random.Generator) -> None:
        columns["_null"] = columns["_null"] | (rng.random(len(far)) < share * far)

    return change


def rescore(size: float) -> Change:
    """Move the score's logit, with no feature moving: what a bad release of a model does."""

    def change(columns: dict[str, NDArray[Any]], far: Floats, _: np.random.Generator) -> None:
        columns["_logit"] = size * far

    return change


@dataclass(frozen=True)
class Stream:
    """`events` events, of which those from `start` on change over `ramp` events; a burst of NaN before."""

    events: int
    seed: int
    changes: tuple[Change, ...] = ()
    start: int = 0
    ramp: int = 1
    stop: int | None = None
    burst: tuple[int, int] | None = None
    burst_feature: str = "normal_3"
    partitions: int = 1
    batch: int = BATCH


def leaf(name: str) -> Bound:
    """Return what a feature reads, for the reference."""
    kind = "string" if name in TEXTS else "double"
    return Bound(name, Leaf(name, kind, nullable=True, logical=None, default=NO_DEFAULT))


@cache
def reference(seed: int = 12_345, rows: int = 5_000) -> Reference:
    """Return the reference of a training set of its own."""
    columns = draw(np.random.default_rng(seed), rows)
    said = score(columns)
    missing = columns.pop("_null")
    columns[NULLABLE] = np.where(missing, np.nan, columns[NULLABLE])
    frame = pd.DataFrame(columns)
    scores = Scores(label=_labels(said), score=said)
    contract = OutputContract("classifier", ("no", "yes"), score="probability")
    return parse_reference(summarise_reference(frame, [leaf(name) for name in NAMES], scores, contract))


def _labels(said: Floats) -> NDArray[np.object_]:
    labels: NDArray[np.object_] = np.array(["no", "yes"], dtype=object)[(said >= 0.5).astype(int)]
    return labels


@cache
def model() -> Model:
    """Return the model that is said to answer the streams."""
    types = {name: "string" if name in TEXTS else "double" for name in NAMES}
    return in_name_only("fraud", "1.0.0", types, schema="test.Event")


def in_name_only(name: str, version: str, types: Mapping[str, str], *, schema: str) -> Model:
    """Return a model of two classes that cannot predict, of features of these types."""
    features = tuple(
        Feature(
            feature,
            feature,
            kind,
            nullable=True,
            missing=Policy.PASS,
            nan=Policy.PASS,
            infinite=Policy.PASS,
        )
        for feature, kind in types.items()
    )
    manifest = Manifest(
        name=name,
        version=version,
        python="3.11",
        libraries={"scikit-learn": "1.9.1"},
        container=ModelInput(
            "pandas", tuple(InputColumn(feature, "float64", null="nan") for feature in types)
        ),
        features=features,
        output=OutputContract("classifier", ("no", "yes"), score="probability"),
        schema_name=schema,
    )
    nobody: Any = None
    return Model(manifest, manifest.digest, nobody)


def frames(
    stream: Stream, settings: ObserveSettings | None = None, known: Reference | None = None
) -> Iterator[ObservationFrame]:
    """Yield the observation frames of a stream, as the scoring step would write them."""
    rng = np.random.default_rng(stream.seed)
    encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    observe = Observe("bench", encoder, lambda _: known, settings)
    places = [Partition("bench.events", index) for index in range(stream.partitions)]
    at = np.arange(stream.events)
    columns = draw(rng, stream.events)
    _apply(stream, columns, at, rng)
    logit = columns.pop("_logit", np.zeros(stream.events))
    said = score(columns)
    said = said / (said + (1 - said) * np.exp(-logit))
    labels = _labels(said)
    missing = columns.pop("_null")
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays[NULLABLE] = pa.array(columns[NULLABLE], mask=missing)
    for first in range(0, stream.events, stream.batch):
        part = slice(first, min(first + stream.batch, stream.events))
        everything = np.arange(part.stop - first, dtype=np.intp)
        cut = {name: array.slice(first, len(everything)) for name, array in arrays.items()}
        seen = ScoredRows(cut, everything, everything, Scores(label=labels[part], score=said[part]), ())
        yield from observe.frames(_batch(at[part], places), model(), seen)


def _apply(
    stream: Stream, columns: dict[str, NDArray[Any]], at: NDArray[Any], rng: np.random.Generator
) -> None:
    far = np.clip((at - stream.start + 1) / stream.ramp, 0.0, 1.0)
    far[at < stream.start] = 0.0
    if stream.stop is not None:
        far[at >= stream.stop] = 0.0
    for change in stream.changes:
        change(columns, far, rng)
    if stream.burst is not None:
        hit = (at >= stream.burst[0]) & (at < stream.burst[1])
        wild = np.array([np.nan, np.inf, -np.inf, 1e308])[at % 4]
        columns[stream.burst_feature] = np.where(hit, wild, columns[stream.burst_feature])


def _batch(at: NDArray[Any], places: Sequence[Partition]) -> Batch:
    count, parts = len(at), len(places)
    nothing: list[Any] = [None] * count
    return Batch(
        cursor=Cursor({}),
        partitions=places,
        partition=(at % parts).tolist(),
        offset=(at // parts).tolist(),
        timestamp_ms=(START_MS + at * 10).tolist(),
        keys=nothing,
        values=nothing,
        headers=nothing,
        received_ms=START_MS + int(at.max()) * 10,
    )


@dataclass
class MonitorRun:
    """The incidents that monitoring opened and resolved on a stream, each with the number of the event."""

    opened: list[tuple[int, IncidentOpened]] = field(default_factory=list)
    resolved: list[tuple[int, IncidentResolved]] = field(default_factory=list)
    records: int = 0

    @property
    def drifts(self) -> list[tuple[int, IncidentOpened]]:
        """The incidents that are about drift."""
        return [(at, one) for at, one in self.opened if one.incident.nature == "drift"]

    def names(self) -> list[str]:
        """Return the signals that name the drift incidents."""
        return [
            f"{one.incident.alarm.signal.name}:{one.incident.alarm.signal.aspect}" for _, one in self.drifts
        ]


def run_monitor(
    stream: Stream,
    policy: MonitorPolicy | None = None,
    settings: ObserveSettings | None = None,
    *,
    rows: int = 5_000,
    compare: bool = True,
) -> MonitorRun:
    """Return the incidents on `stream`, with a reference of `rows` rows or, unless `compare`, without."""
    known = reference(rows=rows) if compare else None
    monitor = Monitor("bench", policy or MonitorPolicy(), lambda _: known)
    run = MonitorRun()
    for frame in frames(stream, settings, known):
        for change in monitor.take(frame, frame.last_time_ms):
            at = (frame.last_time_ms - START_MS) // 10 + 1
            if isinstance(change, IncidentOpened):
                run.opened.append((at, change))
            elif isinstance(change, IncidentResolved):
                run.resolved.append((at, change))
    run.records = monitor.records
    return run
