"""Streams of 20 features as Avro events, a packaged model, and gradual or sudden changes.

`benchmarks.drift_streams` defines the features and their changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]  # it has no stubs
import numpy as np
import pandas as pd
import pyarrow as pa
import pyruhvro
from confluent_kafka import Producer
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer  # type: ignore[import-untyped]  # it has no stubs
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # it has no stubs
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]  # it has no stubs
from sklearn.preprocessing import FunctionTransformer  # type: ignore[import-untyped]  # it has no stubs

from benchmarks.drift_streams import NAMES, NULLABLE, TEXTS, Change, draw, score
from stream_infer.packaging.create import create_package
from stream_infer.packaging.options import CreateOptions
from tests.support.rehearsals import unrehearsed

_TRAINING_ROWS = 5_000
SCORED = ("normal_0", "normal_1", "skewed_0")
"""The features on which the score depends."""

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Material:
    """A package, and the schema of its events."""

    package: Path
    schema: Path


def make_material(folder: Path, *, seed: int) -> Material:
    """Train a model and package it, with the training rows as its reference."""
    rng = np.random.default_rng(seed)
    columns = draw(rng, _TRAINING_ROWS)
    columns[NULLABLE] = np.where(columns.pop("_null"), np.nan, columns[NULLABLE])
    frame = pd.DataFrame(columns)
    target = np.where(rng.random(_TRAINING_ROWS) < score(columns), "yes", "no")
    # The model takes every column and knows of three: of a column that it drops, events would not be asked.
    rest = [name for name in frame.columns if name not in SCORED]
    chosen = make_column_transformer(
        ("passthrough", list(SCORED)), (FunctionTransformer(np.zeros_like), rest)
    )
    joblib.dump(make_pipeline(chosen, LogisticRegression()).fit(frame, target), folder / "model.joblib")
    frame.to_csv(folder / "train.csv", index=False)
    frame.iloc[:100].to_csv(folder / "golden.csv", index=False)
    schema = folder / "event.avsc"
    schema.write_text(json.dumps(_schema()), "utf-8")
    package = folder / "drifting-1.0.0"
    options = CreateOptions(
        model=folder / "model.joblib",
        name="drifting",
        version="1.0.0",
        schema=schema,
        golden=folder / "golden.csv",
        reference=folder / "train.csv",
        nan=("normal_3=pass",),
        infinite=("normal_3=pass",),
        output=package,
    )
    create_package(options, unrehearsed)
    return Material(package, schema)


def correlate(columns: Columns, far: NDArray[np.float64], rng: np.random.Generator) -> None:
    """Make two features equal: their own distributions stay, that of the score changes."""
    columns["normal_1"] = np.where(rng.random(len(far)) < far, columns["normal_0"], columns["normal_1"])


def made(
    count: int, changes: Sequence[Change], *, seed: int, ramp: int = 1, wild: str | None = None
) -> list[bytes]:
    """Return `count` events that change over the first `ramp`; feature `wild` gets extreme values only."""
    rng = np.random.default_rng(seed)
    columns = draw(rng, count)
    far = np.clip((np.arange(count) + 1) / ramp, 0.0, 1.0)
    for change in changes:
        change(columns, far, rng)
    if wild is not None:
        columns[wild] = np.array([np.nan, np.inf, -np.inf, 1e308])[np.arange(count) % 4]
    return _encoded(columns)


def send(bootstrap: str, topic: str, parts: Mapping[int, Sequence[bytes]]) -> None:
    """Write events to partitions, in order."""
    settings: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "linger.ms": 5}
    producer = Producer({**settings, "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})
    for partition, values in parts.items():
        for value in values:
            producer.produce(topic, value, partition=partition)
    if producer.flush(60):
        raise RuntimeError(f"{topic}: not all events were sent")


def _schema() -> dict[str, Any]:
    def field(name: str) -> dict[str, Any]:
        return {"name": name, "type": ["null", "double"] if name == NULLABLE else _type(name)}

    return {"type": "record", "name": "Event", "namespace": "tests", "fields": [field(n) for n in NAMES]}


def _type(name: str) -> str:
    return "string" if name in TEXTS else "double"


def _encoded(columns: Columns) -> list[bytes]:
    missing = columns.pop("_null")
    arrays = {name: pa.array(columns[name]) for name in NAMES}
    arrays[NULLABLE] = pa.array(columns[NULLABLE], mask=missing)
    [data] = pyruhvro.serialize_record_batch(pa.RecordBatch.from_pydict(arrays), json.dumps(_schema()), 1)
    values: list[bytes] = data.to_pylist()
    return values
