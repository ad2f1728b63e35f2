"""A pipeline with a model store: its topics and settings, its monitoring events, and its answers."""

from __future__ import annotations

import io
import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import fastavro
from confluent_kafka import Consumer, TopicPartition

from stream_infer.rollout.deployment import Deployment
from stream_infer.store.model_store import ModelStore, Request
from tests.architecture.tree import ROOT
from tests.support.clients import SILENT
from tests.support.lines import PARTITIONS, SLOPES, Rehearsed, x_of
from tests.support.log import Record, committed, read_all
from tests.support.pipeline import Section, toml
from tests.support.succession import Answer, Place, Reign, Succession, succession
from tests.unit.rollout.packages import SCHEMA

ME = Request("tests")
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """`folder` has its files. Its topics are unique."""

    name: str
    bootstrap: str
    folder: Path
    topics: Mapping[str, str]

    @property
    def store(self) -> ModelStore:
        """The model store."""
        return ModelStore(self.folder / "models", self.name)

    @property
    def group(self) -> str:
        """The consumer group of its workers."""
        return f"{self.name}.score"

    def config(self, slot: str, *, port: int = 0, **model: str | int) -> Path:
        """Write the settings of a worker; `model` has more keys of section `model`, `port` is of HTTP."""
        named = self.topics
        sections: dict[str, Section] = {
            "kafka": {"bootstrap.servers": self.bootstrap},
            "kafka.consumer": {"session.timeout.ms": 3_000, "heartbeat.interval.ms": 300},
            "input": {"topics": [named["input"]], "schema": str(self.folder / "event.avsc")},
            "output": {"topic": named["predictions"]},
            "dlq": {"topic": named["dead-letters"]},
            "monitoring": {
                "topic": named["monitoring"],
                "observations_topic": named["observations"],
                "state_topic": named["state"],
            },
            "model": {"store": str(self.store.folder), "status_topic": named["status"], **model},
            "worker": {"slot": slot},
            "http": {"port": port},
        }
        path = self.folder / f"worker-{slot}.toml"
        path.write_text(f"pipeline = {json.dumps(self.name)}\n{toml(sections)}", encoding="utf-8")
        return path

    def promote(self, package: Path) -> Deployment:
        """Make `package` desired."""
        return self.store.promote(package, ME)

    def answered(self, count: int) -> Callable[[], bool]:
        """Return a condition: the group has answered `count` events."""
        return lambda: self._answered() == count

    def answered_more(self) -> Callable[[], bool]:
        """Return a condition: the group has answered more events than now."""
        before = self._answered()
        return lambda: self._answered() > before

    def _answered(self) -> int:
        return sum(committed(self.bootstrap, self.group, self.topics["input"]).values())

    def outcome(self) -> Succession:
        """Compare the answers with the announcements, once no event is left."""
        sent = {_place(record): x_of(record.value) for record in self._read("input")}
        answers = [
            *map(_prediction, self._read("predictions")),
            *map(_dead_letter, self._read("dead-letters")),
        ]
        events = [monitoring_event(record.value) for record in self._read("monitoring")]
        return succession(sent, answers, reigns(events), SLOPES)

    def _read(self, name: str) -> Sequence[Record]:
        return read_all(self.bootstrap, self.topics[name])


def stage(bootstrap: str, topics: Callable[[str, int], str], folder: Path, rehearsed: Rehearsed) -> Stage:
    """Return a pipeline in `folder`. Its store has two rehearsed packages and no desired one."""
    sizes = {
        "input": PARTITIONS, "predictions": PARTITIONS, "dead-letters": 2,
        "monitoring": 1, "observations": 1, "state": 1, "status": 1, "control": 1,
    }  # fmt: skip
    name = f"lines.{uuid.uuid4().hex[:12]}"
    made = Stage(name, bootstrap, folder, {one: topics(f"lines-{one}", n) for one, n in sizes.items()})
    (folder / "event.avsc").write_bytes(SCHEMA)
    made.store.folder.mkdir()
    shutil.copytree(rehearsed.store / ".verdicts", made.store.folder / ".verdicts")
    return made


class Told:
    """The monitoring events so far, in the order of their topic."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._events: list[Event] = []

    def events(self, kind: str, generation: int | None = None) -> list[Event]:
        """Return the events of that type so far, or those of one generation."""
        for message in self._consumer.consume(1_000, 0):
            if message.error() is None:
                self._events.append(monitoring_event(message.value()))
        mine = [one for one in self._events if one["type"] == kind]
        return mine if generation is None else [o for o in mine if o["model"]["generation"] == generation]

    def says(self, kind: str, generation: int) -> Callable[[], bool]:
        """Return a condition: an event of this type and generation has come."""
        return lambda: bool(self.events(kind, generation))


@contextmanager
def listening(stage: Stage) -> Iterator[Told]:
    """Read the monitoring topic from its beginning while the block runs."""
    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": stage.bootstrap,
        "group.id": f"listener-{uuid.uuid4()}",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    }
    consumer = Consumer(settings, logger=SILENT)
    consumer.assign([TopicPartition(stage.topics["monitoring"], 0, 0)])
    try:
        yield Told(consumer)
    finally:
        consumer.close()


def reigns(events: Sequence[Event]) -> list[Reign]:
    """Return the announced versions, each with the first event that it answers."""
    return [
        Reign((each["partition"], each["first_offset"]), one["model"]["to_version"])
        for one in events
        if one["type"] == "model.activated"
        for each in one["ranges"]
    ]


def monitoring_event(value: bytes | None) -> Event:
    """Return the event in a record."""
    return _decoded("MonitoringEvent", value)


def _prediction(record: Record) -> Answer:
    found = _decoded("Prediction", record.value)
    place = found["source_partition"], found["source_offset"]
    return Answer(place, found["model_version"], found["value"])


def _dead_letter(record: Record) -> Answer:
    texts = {name: (value or b"").decode() for name, value in record.headers}
    place = int(texts["__dlq.errors.partition"]), int(texts["__dlq.errors.offset"])
    return Answer(place, texts["streaminfer.model.version"], None)


def _place(record: Record) -> Place:
    return record.partition, record.offset


def _decoded(name: str, value: bytes | None) -> dict[str, Any]:
    read = fastavro.schemaless_reader(io.BytesIO(value or b""), _schema(name), None)
    return cast(dict[str, Any], read)


@cache
def _schema(name: str) -> Any:
    return fastavro.parse_schema(json.loads((ROOT / "schemas" / f"{name}.avsc").read_text("utf-8")))
