"""A worker.toml with everything that it names: a schema, a package with a fitted model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from stream_infer.avro.schemas import parse_schema
from stream_infer.config.settings import Settings, SettingsResult, load_settings, read_settings
from stream_infer.models.manifest import InputColumn, ModelInput, OutputContract
from stream_infer.models.package import write_package
from stream_infer.packaging.datum import encode_datum
from stream_infer.steps.scoring.golden import Golden, write_golden
from tests.unit.models.builders import feature, files, manifest, pickled

NOWHERE = "127.0.0.1:1"
FIELDS: dict[str, object] = {
    "id": "string",
    "at": {"type": "long", "logicalType": "timestamp-millis"},
    "amount": "double",
    "visits": "int",
    "tags": {"type": "array", "items": "string"},
}

TOML = """\
pipeline = "{pipeline}"
[kafka]
"bootstrap.servers" = "{servers}"
[input]
topics = ["{topic}"]
schema = "event.avsc"
event_time = "at"
[output]
copy = ["id"]
[model]
package = "model"
[http]
port = 0
"""


def event_schema(fields: dict[str, object]) -> str:
    listed = [{"name": name, "type": kind} for name, kind in fields.items()]
    return json.dumps({"type": "record", "name": "Event", "fields": listed})


@dataclass(frozen=True, slots=True)
class Project:
    """A folder in which nothing is wrong yet."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "worker.toml"

    @property
    def schema(self) -> Path:
        return self.folder / "event.avsc"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def change(self, line: str, by: str) -> None:
        """Replace `line` of worker.toml."""
        text = self.config.read_text("utf-8")
        assert line in text
        self.config.write_text(text.replace(line, by), "utf-8")

    def declare(self, **fields: object) -> None:
        """Give the events other fields; None takes one away."""
        changed = {name: kind for name, kind in {**FIELDS, **fields}.items() if kind is not None}
        self.schema.write_text(event_schema(changed))

    def reading(self) -> SettingsResult:
        return read_settings(self.config, {})

    def settings(self) -> Settings:
        return load_settings(self.config, {})


def golden_of(estimator: Any) -> bytes:
    """Return a golden row with the answer of `estimator`."""
    values = {"id": "a", "at": 0, "amount": 0.0, "visits": 0, "tags": []}
    event = encode_datum(parse_schema(event_schema(FIELDS)), values)
    label, score = estimator.predict([[0.0, 0.0]])[0], estimator.predict_proba([[0.0, 0.0]])[0, 1]
    return write_golden([Golden(event, label=str(label), score=float(score))])


def make_project(
    folder: Path, *, servers: str = NOWHERE, topic: str = "shop.visits.v1", pipeline: str = "shop"
) -> Project:
    project = Project(folder)
    project.config.write_text(TOML.format(servers=servers, topic=topic, pipeline=pipeline), "utf-8")
    project.declare()
    estimator = LogisticRegression().fit(np.array([[0.0, 0.0], [1.0, 1.0]]), ["no", "yes"])
    columns = (InputColumn("amount", "float64", "nan"), InputColumn("visits", "float64", "nan"))
    write_package(
        project.model,
        manifest(
            container=ModelInput("ndarray", columns),
            features=(
                feature("amount", "double", source="amount"),
                feature("visits", "int", source="visits"),
            ),
            output=OutputContract("classifier", ("no", "yes"), score="probability", label_from="predict"),
        ),
        {
            **files(pickled(estimator)),
            "input.avsc": event_schema(FIELDS).encode(),
            "golden.avro": golden_of(estimator),
        },
    )
    return project
