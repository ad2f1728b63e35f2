"""Data, models and files of a user, for the tests of packaging."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from stream_infer.packaging.create import CreateReport, create_package
from stream_infer.packaging.options import CreateOptions
from stream_infer.packaging.scorer import open_package
from tests.support.rehearsals import unrehearsed

Row = dict[str, Any]

TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED", "GREEN", "BLUE"]}
TRIP = {
    "type": "record",
    "name": "Trip",
    "namespace": "test",
    "fields": [
        {"name": "trip_id", "type": "string"},
        {"name": "distance", "type": ["null", "double"], "default": None},
        {"name": "stops", "type": "int"},
        {"name": "night", "type": "boolean"},
        {"name": "city", "type": ["null", "string"], "default": None},
        {"name": "colour", "type": COLOUR},
        {"name": "started", "type": TIMESTAMP},
        {"name": "driver", "type": ["null", {
            "type": "record",
            "name": "Driver",
            "fields": [{"name": "age", "type": "int"}, {"name": "name", "type": "string"}],
        }], "default": None},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
    ],
}  # fmt: skip


def trips(rows: int = 120) -> list[Row]:
    """Return events of the schema `TRIP`, the same every time; distance and city are sometimes null."""
    rng = np.random.default_rng(7)
    return [
        {
            "trip_id": f"t{index}",
            "distance": None if index % 11 == 3 else float(rng.gamma(2.0, 3.0)),
            "stops": int(rng.integers(0, 6)),
            "night": bool(rng.integers(0, 2)),
            "city": [None, "Bonn", "Kiel", "Jena"][int(rng.integers(0, 4))],
            "colour": COLOUR["symbols"][int(rng.integers(0, 3))],
            "started": 1_700_000_000_000 + int(rng.integers(0, 10**9)),
            "driver": {"age": int(rng.integers(18, 70)), "name": "x"},
            "tags": ["a"],
        }
        for index in range(rows)
    ]


def frame_of(events: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of `events` as pandas reads them from a CSV file."""
    return pd.DataFrame([{name: event[name] for name in columns} for event in events])


def target(events: Sequence[Row]) -> np.ndarray:
    """Return labels to learn: long trips with many stops, with some noise."""
    noisy = [(event["distance"] or 0.0) + event["stops"] > 6 for event in events]
    return np.array([int(long) ^ (index % 7 == 0) for index, long in enumerate(noisy)])


class Workshop:
    """A folder in which a user packages a model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "package"

    def file(self, name: str, text: str) -> Path:
        """Write a text file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def csv(self, name: str, frame: pd.DataFrame) -> Path:
        """Write a frame as pandas does, with its defaults."""
        path = self.folder / name
        frame.to_csv(path, index=False)
        return path

    def options(
        self,
        model: Any,
        golden: pd.DataFrame | Path,
        *,
        schema: Mapping[str, Any] | Path = TRIP,
        **more: Any,
    ) -> CreateOptions:
        """Write model, schema and golden rows, and return the options that name them."""
        path = self.folder / "model.joblib"
        if not isinstance(model, Path):
            joblib.dump(model, path)
        return CreateOptions(
            model=model if isinstance(model, Path) else path,
            name="trips",
            version="1.2.0",
            schema=schema if isinstance(schema, Path) else self.file("event.avsc", json.dumps(schema)),
            golden=golden if isinstance(golden, Path) else self.csv("golden.csv", golden),
            **{"output": self.package, **more},
        )

    def create(self, model: Any, golden: pd.DataFrame | Path, **more: Any) -> CreateReport:
        """Make the package."""
        return create_package(self.options(model, golden, **more), unrehearsed)

    def answers(self, events: Sequence[Row]) -> list[dict[str, Any]]:
        """Return what the package says about `events`."""
        return open_package(self.package).predict(events)


def column(answers: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """Return one output of every answer."""
    return [answer[name] for answer in answers]


def assert_close(found: Sequence[Any], expected: Any) -> None:
    """Check that numbers are within the tolerance of a package."""
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
