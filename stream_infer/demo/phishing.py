"""The demo's data: River's Phishing set, which ships inside its wheel, as events, labels and a first model.

1250 real web pages, nine features each, and whether the page was phishing (Abdelhamid et al. 2014). The first
half trains the model, the second half is the traffic.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import fastavro
import joblib
import numpy as np
import pandas as pd
from river.datasets import Phishing
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_infer.packaging.create import create
from stream_infer.packaging.options import CreateOptions

SCHEMA_NAME = "page.avsc"


@dataclass(frozen=True, slots=True)
class Event:
    """One web page: its Avro datum, its key, and the truth that labels will tell."""

    key: str
    value: bytes
    is_phishing: bool


@dataclass(frozen=True, slots=True)
class PhishingData:
    """Both halves of the set as frames, and the truth of each row."""

    train: pd.DataFrame
    train_truth: pd.Series[bool]
    traffic: pd.DataFrame
    traffic_truth: pd.Series[bool]

    @property
    def features(self) -> list[str]:
        """The nine feature names."""
        return list(self.train.columns)


def load() -> PhishingData:
    """Read the set from River's wheel; nothing is downloaded."""
    rows, truth = zip(*Phishing(), strict=True)
    frame, labels = pd.DataFrame(list(rows)).astype(float), pd.Series(truth)
    half = len(frame) // 2
    return PhishingData(frame[:half], labels[:half], frame[half:], labels[half:])


def schema(features: Sequence[str]) -> dict[str, object]:
    """Return the Avro schema of a page."""
    fields: list[dict[str, object]] = [
        {"name": "page_id", "type": "string"},
        {"name": "seen_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]
    fields += [{"name": name, "type": "double"} for name in features]
    return {"type": "record", "name": "Page", "namespace": "demo.phishing", "fields": fields}


def build_package(data: PhishingData, folder: Path, *, version: str) -> Path:
    """Train a model as a user would, and package it with the same code as `stream-infer package create`."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(data.train, data.train_truth.astype(int))
    joblib.dump(model, folder / "model.joblib")
    data.train.head(50).to_csv(folder / "sample.csv", index=False)
    data.train.to_csv(folder / "train.csv", index=False)
    (folder / SCHEMA_NAME).write_text(json.dumps(schema(data.features), indent=2))
    package = folder / f"phishing-{version}"
    create(
        CreateOptions(
            model=folder / "model.joblib",
            name="phishing",
            version=version,
            schema=folder / SCHEMA_NAME,
            golden=folder / "sample.csv",
            reference=folder / "train.csv",
            output=package,
        )
    )
    return package


class Pages:
    """An endless, seeded stream of pages, drawn again and again from the half that the model has not seen."""

    def __init__(self, data: PhishingData, *, seed: int) -> None:
        self._rows = data.traffic.to_dict("records")
        self._truth = data.traffic_truth.tolist()
        self._schema = fastavro.parse_schema(schema(data.features))
        self._random = np.random.default_rng(seed)
        self._sent = 0

    def next(self, now_ms: int) -> Event:
        """Return the next page, seen at `now_ms` (Unix milliseconds)."""
        row = int(self._random.integers(len(self._rows)))
        key = f"page-{self._sent}"
        self._sent += 1
        buffer = io.BytesIO()
        event = {"page_id": key, "seen_at": now_ms, **self._rows[row]}
        fastavro.schemaless_writer(buffer, self._schema, event)
        return Event(key, buffer.getvalue(), bool(self._truth[row]))
