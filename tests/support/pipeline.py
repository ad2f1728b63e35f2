"""A pipeline under test: its topics, its settings as worker.toml, and the verdict of the oracle."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import fastavro

from tests.support import package
from tests.support.events import SCHEMA_FILE, Framing
from tests.support.log import Isolation, read_all
from tests.support.oracle.job import Job
from tests.support.oracle.judge import Verdict
from tests.support.package import Package

PREDICTION_SCHEMA = Path(__file__).parents[2] / "schemas" / "Prediction.avsc"
_JUDGED_WITHIN_S = 120

Section = Mapping[str, str | int | list[str]]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`folder` has its files. Its name and topics are unique."""

    name: str
    framing: Framing
    bootstrap: str
    input: str
    predictions: str
    dead_letters: str
    package: Package
    folder: Path

    @property
    def group(self) -> str:
        """The consumer group of its workers."""
        return f"{self.name}.score"

    def write_config(self, slot: str, *, bootstrap: str | None = None, **more: Section) -> Path:
        """Write the settings of one worker. `bootstrap` may be a proxy of the broker.

        `more` has sections that override those here; `kafka_producer` is the section `kafka.producer`.
        """
        sections: dict[str, Section] = {
            "kafka": {"bootstrap.servers": bootstrap or self.bootstrap},
            # The group notices a killed worker after 3 s; the default is longer.
            "kafka.consumer": {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 300},
            "input": {
                "topics": [self.input],
                "framing": self.framing.value,
                "schema": str(SCHEMA_FILE),
                "event_time": "ts",
            },
            "output": {"topic": self.predictions, "copy": ["id"]},
            "dlq": {"topic": self.dead_letters},
            "model": {"package": str(self.package.path)},
            "worker": {"slot": slot},
            "http": {"port": 0},
        }
        for name, section in more.items():
            dotted = name.replace("_", ".")
            sections[dotted] = {**sections.get(dotted, {}), **section}
        path = self.folder / f"worker-{slot}.toml"
        path.write_text(f"pipeline = {json.dumps(self.name)}\n{toml(sections)}", encoding="utf-8")
        return path

    def uncommitted(self) -> int:
        """Return how many predictions a `read_uncommitted` reader sees more than a `read_committed` one."""
        written = read_all(self.bootstrap, self.predictions, Isolation.UNCOMMITTED)
        return len(written) - len(read_all(self.bootstrap, self.predictions))

    def answered(self) -> list[tuple[int, int]]:
        """Return partition and offset of each event that has a prediction, in the order of both."""
        schema = fastavro.parse_schema(json.loads(PREDICTION_SCHEMA.read_text(encoding="utf-8")))
        found = []
        for record in read_all(self.bootstrap, self.predictions):
            body = fastavro.schemaless_reader(io.BytesIO(record.value or b""), schema, None)
            fields = cast(dict[str, Any], body)
            found.append((fields["source_partition"], fields["source_offset"]))
        return sorted(found)

    def judged(self) -> tuple[Verdict, list[str]]:
        """Return the oracle's verdict, and the top-level modules that its process had imported."""
        job = Job(
            bootstrap=self.bootstrap,
            input=self.input,
            predictions=self.predictions,
            dead_letters=self.dead_letters,
            group=self.group,
            framing=self.framing.value,
            event_schema=str(SCHEMA_FILE),
            prediction_schema=str(PREDICTION_SCHEMA),
            estimator=str(self.package.estimator),
            code=str(self.package.code),
            reject_nan=("amount", "balance", "distance", "velocity"),
            event_time="ts",
            copied=("id",),
            pipeline=self.name,
            model_name=package.NAME,
            model_version=package.VERSION,
        )
        command = [sys.executable, "-m", "tests.support.oracle"]
        done = subprocess.run(
            command,
            input=job.to_json(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_JUDGED_WITHIN_S,
        )
        report = json.loads(done.stdout)
        imported: list[str] = report.pop("imported")
        return Verdict(**report), imported


def toml(sections: Mapping[str, Section]) -> str:
    """Return the sections as TOML, whose strings, numbers and lists are written as in JSON."""
    lines = []
    for name, section in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in section.items()]
    return "\n".join(lines) + "\n"
