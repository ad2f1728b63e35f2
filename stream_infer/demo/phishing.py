"""The data of the demo: River's Phishing data set, which its wheel contains, as events, truths and packages.

1250 real web pages with nine features each, and whether the page was phishing (Abdelhamid et al. 2014). The
split has no drift between its parts: 1000 pages train models, the others are the traffic. `World` tells how
the demo changes the traffic.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import fastavro
import joblib
import numpy as np
import pandas as pd
from river.datasets import Phishing
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_infer.packaging.create import create_package
from stream_infer.packaging.options import CreateOptions

SCHEMA_NAME = "page.avsc"
SHIFTED = "is_popular"
"""The feature of the input shift. The model gives it little weight, so accuracy stays."""

_SHIFTED_SHARE = 0.9
_TRAIN_ROWS = 1000
_SPLIT_SEED = 2  # gives parts with equal distributions; others would be a drift from the first page on


class World(StrEnum):
    """The distribution of features, and which pages are phishing."""

    USUAL = "usual"
    POPULAR = "popular"  # a shift of inputs: most pages come from popular sites
    CERTIFIED = "certified"  # a drift of the concept: the same features, but pages with https are phishing


@dataclass(frozen=True, slots=True)
class Event:
    """One web page: key, Avro datum, and the truth for its label."""

    key: str
    value: bytes
    is_phishing: bool


@dataclass(frozen=True, slots=True)
class DataPart:
    """Pages of the data set, and whether each was phishing."""

    pages: pd.DataFrame
    truth: pd.Series[bool]

    def truth_in(self, world: World) -> pd.Series[bool]:
        """Return which of the pages are phishing in `world`."""
        if world is World.CERTIFIED:
            return self.truth | (self.pages["https"] == 1.0)
        return self.truth


@dataclass(frozen=True, slots=True)
class PhishingData:
    """The two parts of the data set."""

    train: DataPart
    traffic: DataPart

    @property
    def features(self) -> list[str]:
        """The nine feature names."""
        return list(self.train.pages.columns)


def load_phishing() -> PhishingData:
    """Read the data set from River's wheel, without a download."""
    rows, truth = zip(*Phishing(), strict=True)
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(rows))
    frame = pd.DataFrame(list(rows)).astype(float).iloc[order].reset_index(drop=True)
    labels = pd.Series(truth).iloc[order].reset_index(drop=True)
    return PhishingData(
        DataPart(frame[:_TRAIN_ROWS], labels[:_TRAIN_ROWS]),
        DataPart(frame[_TRAIN_ROWS:], labels[_TRAIN_ROWS:]),
    )


def event_schema(features: Sequence[str]) -> dict[str, object]:
    """Return the Avro schema of a page."""
    fields: list[dict[str, object]] = [
        {"name": "page_id", "type": "string"},
        {"name": "seen_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ]
    fields += [{"name": name, "type": "double"} for name in features]
    return {"type": "record", "name": "Page", "namespace": "demo.phishing", "fields": fields}


def build_package(data: PhishingData, folder: Path, *, world: World, version: str) -> Path:
    """Train a model on the truths of `world`, and package it as `stream-infer package create` does."""
    train = data.train
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(train.pages, train.truth_in(world).astype(int))
    joblib.dump(model, folder / "model.joblib")
    train.pages.head(50).to_csv(folder / "sample.csv", index=False)
    train.pages.to_csv(folder / "train.csv", index=False)
    (folder / SCHEMA_NAME).write_text(json.dumps(event_schema(data.features), indent=2))
    package = folder / f"phishing-{version}"
    create_package(
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
    """An endless, seeded stream of pages, drawn from those that no model was trained on."""

    def __init__(self, data: PhishingData, *, seed: int) -> None:
        self._rows = data.traffic.pages.to_dict("records")
        self._truth = {world: data.traffic.truth_in(world).tolist() for world in World}
        self._schema = fastavro.parse_schema(event_schema(data.features))
        self._random = np.random.default_rng(seed)
        self._sent = 0

    def next(self, world: World, now_ms: int) -> Event:
        """Return the next page of `world`, seen at `now_ms` (Unix milliseconds)."""
        at = int(self._random.integers(len(self._rows)))
        row = self._rows[at]
        if world is World.POPULAR and self._random.random() < _SHIFTED_SHARE:
            row = {**row, SHIFTED: 1.0}
        key = f"page-{self._sent}"
        self._sent += 1
        buffer = io.BytesIO()
        event = {"page_id": key, "seen_at": now_ms, **row}
        fastavro.schemaless_writer(buffer, self._schema, event)
        return Event(key, buffer.getvalue(), self._truth[world][at])
