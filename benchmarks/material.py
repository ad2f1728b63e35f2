"""What the benchmarks feed: events of a given width and size, and a model package for them.

Everything is made from one seed. Nothing here knows a broker.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import fastavro
import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_infer.packaging.create import create_package
from stream_infer.packaging.options import CreateOptions

SEED = 7
FEATURES = 13
_TRAINING_ROWS = 4_000
_GOLDEN_ROWS = 50
_DISTINCT = 5_000

MODELS: Mapping[str, Callable[[], object]] = {
    "linear": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "histgb": lambda: HistGradientBoostingClassifier(max_iter=100, random_state=SEED),
    "forest": lambda: RandomForestClassifier(n_estimators=100, max_depth=10, random_state=SEED),
    "large-forest": lambda: RandomForestClassifier(n_estimators=800, random_state=SEED),  # some 100 MB
}


@dataclass(frozen=True, slots=True)
class Material:
    """Files and bytes of one workload. `values` are distinct events, to be repeated as often as needed."""

    schema: Path
    estimator: Path
    package: Path
    values: list[bytes]
    features: tuple[str, ...]


def names(features: int) -> tuple[str, ...]:
    """Return the names of the feature fields."""
    return tuple(f"x{index}" for index in range(features))


def event_schema(features: int) -> dict[str, object]:
    """Return the schema of an event: an id, a time, features, and a note that makes it as large as wanted."""
    return {
        "type": "record",
        "name": "Event",
        "namespace": "io.streaminfer.benchmark",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            *({"name": name, "type": "double"} for name in names(features)),
            {"name": "note", "type": "string"},
        ],
    }


def make(folder: Path, *, model: str = "linear", features: int = FEATURES, size_bytes: int = 100) -> Material:
    """Train `model`, package it into `folder`, and make events of `size_bytes` (or more where needed)."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    schema = folder / "event.avsc"
    schema.write_text(json.dumps(event_schema(features)), "utf-8")
    estimator, package = folder / "model.joblib", folder / "package"
    frame = pd.DataFrame(_matrix(rng, _TRAINING_ROWS, features), columns=list(names(features)))
    target = np.where(frame.iloc[:, :3].sum(axis=1) + rng.normal(0, 1, len(frame)) > 0, "bad", "good")
    joblib.dump(MODELS[model]().fit(frame, target), estimator)  # type: ignore[attr-defined]  # a scikit-learn estimator
    frame.to_csv(folder / "train.csv", index=False)
    frame.head(_GOLDEN_ROWS).to_csv(folder / "golden.csv", index=False)
    create_package(
        CreateOptions(
            model=estimator,
            name=model,
            version="1.0.0",
            schema=schema,
            golden=folder / "golden.csv",
            reference=folder / "train.csv",
            output=package,
        )
    )
    values = _values(rng, features, size_bytes)
    return Material(schema, estimator, package, values, names(features))


def _matrix(rng: np.random.Generator, rows: int, features: int) -> NDArray[np.float64]:
    return rng.normal(0.0, 1.0, (rows, features))


def _values(rng: np.random.Generator, features: int, size_bytes: int) -> list[bytes]:
    parsed = fastavro.parse_schema(event_schema(features))
    rows = _matrix(rng, _DISTINCT, features).tolist()
    # Text that compresses about as text does: words of a small vocabulary.
    words = ["".join(map(chr, rng.integers(97, 123, 6))) for _ in range(500)]
    bare = len(_datum(parsed, rows[0], "", features))
    pad = max(0, size_bytes - bare - 2)
    return [
        _datum(parsed, row, " ".join(rng.choice(words, pad // 7 + 1))[:pad] if pad else "", features, index)
        for index, row in enumerate(rows)
    ]


def _datum(parsed: object, row: list[float], note: str, features: int, index: int = 0) -> bytes:
    out = io.BytesIO()
    record = {"id": f"e{index}", "ts": 1_760_000_000_000 + index, "note": note}
    fastavro.schemaless_writer(out, parsed, {**record, **dict(zip(names(features), row, strict=True))})
    return out.getvalue()
