"""What a contestant is told: where to read and write, with what client settings. Passed as one JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from stream_infer.kafka import client
from stream_infer.kafka.client import Properties

BATCH = 10_000
LARGE_BATCH = 50_000
HANDWRITTEN_BATCH = 4_000
# As in the tests: a group that settles soon. Nothing on the way of a record.
GROUP = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "300"}


@dataclass(frozen=True, slots=True)
class Job:
    """One run of one contestant process. Paths are absolute. No `monitoring` topic: nothing is watched."""

    bootstrap: str
    schema: str
    estimator: str
    package: str
    pool: str
    input: str = ""
    output: str = ""
    dead_letters: str = ""
    monitoring: str = ""
    observations: str = ""
    group: str = ""
    slot: str = ""
    transactional: bool = True
    batch: int = BATCH

    def to_json(self) -> str:
        """Return the job as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job that `to_json` wrote."""
        return cls(**json.loads(text))

    @property
    def _properties(self) -> Properties:
        return Properties({"bootstrap.servers": self.bootstrap}, consumer=GROUP)

    @property
    def consumer(self) -> dict[str, str]:
        """The worker's own consumer settings."""
        return client.consumer(
            self._properties, group_id=self.group, instance_id=self.slot, client_id=self.slot
        ) | {"auto.offset.reset": "earliest"}

    @property
    def producer(self) -> dict[str, str]:
        """The worker's own producer settings."""
        transactional_id = f"{self.group}.{self.slot}" if self.transactional else None
        return client.producer(self._properties, transactional_id=transactional_id, client_id=self.slot)

    def worker_toml(self, more: Mapping[str, Mapping[str, object]] | None = None) -> str:
        """Return the settings of the real worker for this job; `more` goes over single keys of sections."""
        sections: dict[str, dict[str, object]] = {
            "kafka": {"bootstrap.servers": self.bootstrap},
            "kafka.consumer": dict(GROUP),
            "input": {"topics": [self.input], "schema": self.schema},
            "output": {"topic": self.output},
            "dlq": {"topic": self.dead_letters},
            "model": {"package": self.package},
            "delivery": {"guarantee": "exactly_once" if self.transactional else "at_least_once"},
            "worker": {"slot": self.slot},
            "http": {"port": 0},
        }
        if self.monitoring:
            sections["monitoring"] = {"topic": self.monitoring, "observations_topic": self.observations}
        for name, keys in (more or {}).items():
            sections[name] = {**sections.get(name, {}), **keys}
        lines = [f"pipeline = {json.dumps(self.group.removesuffix('.score'))}"]
        for name, keys in sections.items():
            lines += [f"[{name}]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in keys.items())]
        return "\n".join(lines) + "\n"


def write_pool(path: Path, values: list[bytes]) -> None:
    """Write what the bare copy sends in place of predictions."""
    path.write_text(json.dumps([value.hex() for value in values]), "ascii")


def read_pool(path: str) -> list[bytes]:
    """Return what `write_pool` wrote."""
    return [bytes.fromhex(value) for value in json.loads(Path(path).read_text("ascii"))]
