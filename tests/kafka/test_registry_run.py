"""Events written with a registry: several writers in one topic, and a registry that is away for a while."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import stream_infer
from tests.support.events import SCHEMA_FILE, Framing
from tests.support.log import Record, committed, read_all
from tests.support.pipeline import Pipeline
from tests.support.registry import Mood, StubRegistry
from tests.support.worker_process import Worker, until

V1 = SCHEMA_FILE.read_text(encoding="utf-8")
FIELDS: list[dict[str, Any]] = json.loads(V1)["fields"]
BY_NAME = {each["name"]: each for each in FIELDS}


def version(fields: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({**json.loads(V1), "fields": list(fields)})


# In another order, with a field that is gone since, without one that has a default, with narrower numbers.
V2 = version(
    [
        {"name": "channel", "type": "string"},
        *reversed([each for each in FIELDS if each["name"] not in {"risk", "age_days", "amount"}]),
        {"name": "age_days", "type": "int"},
        {"name": "amount", "type": "float"},
    ]
)
V3 = version(
    [
        *({**each, "type": "float"} if each["name"] == "balance" else each for each in FIELDS[1:]),
        *FIELDS[:1],
    ]
)
INCOMPATIBLE = version([each for each in FIELDS if each["name"] != "amount"])
RECORD_SCHEMAS = {"v1": V1, "v2": V2, "v3": V3}


def payment(number: int) -> dict[str, Any]:
    return {
        "id": f"p-{number}",
        "ts": 1_760_000_000_000 + number,
        "amount": 24.5 + 0.5 * (number % 41),
        "balance": 900.0 + number,
        "distance": 0.25 * (number % 13),
        "attempts": number % 4,
        "age_days": number % 2_000,
        "velocity": 3.5,
        "risk": None,
        "country": "Ísland",
        "online": number % 2 == 0,
    }


@dataclass
class Producers:
    """Sends payments with Confluent's own serializers, one writer for each version of the schema."""

    pipeline: Pipeline
    client: SchemaRegistryClient
    sent: dict[int, list[str]] = field(default_factory=lambda: {index: [] for index in range(4)})
    count: int = 0

    def __post_init__(self) -> None:
        self._producer = Producer({"bootstrap.servers": self.pipeline.bootstrap, "linger.ms": 0})
        places = {"prefix": prefix_schema_id_serializer, "header": header_schema_id_serializer}
        self._serializers = {
            (name, place): AvroSerializer(self.client, text, conf={"schema.id.serializer": serializer})
            for name, text in RECORD_SCHEMAS.items()
            for place, serializer in places.items()
        }

    def register(self) -> None:
        """Register every version, as producers do before they send."""
        for serializer in self._serializers.values():
            self._value(serializer)

    def send(self, partition: int, *names: str, place: str = "prefix") -> None:
        """Send one payment for each name of a version."""
        for name in names:
            value, headers = self._value(self._serializers[name, place])
            self.sent[partition].append(f"p-{self.count}")
            self.count += 1
            self._producer.produce(self.pipeline.input, value, partition=partition, headers=headers or None)
        assert self._producer.flush(30) == 0

    def send_raw(self, partition: int, value: bytes) -> None:
        self._producer.produce(self.pipeline.input, value, partition=partition)
        assert self._producer.flush(30) == 0

    def _value(self, serializer: AvroSerializer) -> tuple[bytes | None, Any]:
        context = SerializationContext(self.pipeline.input, MessageField.VALUE, [])
        event = {**payment(self.count), "channel": "web"}
        return serializer(event, context), context.headers


@pytest.fixture
def registry() -> Iterator[StubRegistry]:
    with StubRegistry() as stub:
        yield stub


@pytest.fixture
def tested(pipeline: Callable[[Framing], Pipeline]) -> Pipeline:
    return pipeline(Framing.NONE)  # the factory knows no registry; the settings below say what is so


@pytest.fixture
def client(registry: StubRegistry) -> Iterator[SchemaRegistryClient]:
    with closing(SchemaRegistryClient.new_client({"url": registry.url})) as connected:
        yield connected


def write_config(pipeline: Pipeline, registry: StubRegistry) -> Path:
    config = pipeline.write_config("0", input={"framing": "confluent"}, output={"framing": "confluent"})
    with config.open("a", encoding="utf-8") as file:
        file.write(f'[schema_registry]\nurl = "{registry.url}"\ntimeout = 1\n')
    return config


def stream_infer_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream_infer.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def positions(pipeline: Pipeline) -> dict[int, int]:
    return committed(pipeline.bootstrap, pipeline.group, pipeline.input)


def by_partition(records: Sequence[Record]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {index: [] for index in range(4)}
    for record in records:
        found[record.partition].append(record)
    return found


def test_an_outage_of_the_registry_costs_time_and_no_event(
    tested: Pipeline,
    registry: StubRegistry,
    client: SchemaRegistryClient,
    start_worker: Callable[[Path], Worker],
) -> None:
    config = write_config(tested, registry)
    producers = Producers(tested, client)
    producers.register()
    created = stream_infer_command("topics", "create", "-c", str(config))
    assert created.returncode == 0, created.stderr

    # Known writers first: version 1 by id, in every partition.
    for partition in range(4):
        producers.send(partition, *["v1"] * 5)
    worker = start_worker(config)
    until("version 1 is answered", lambda: sum(positions(tested).values()) == 20, worker)

    # The registry fails. Partition 0 meets a new writer after three records, 1 one of its own in a header.
    registry.become(Mood.FAILING)
    producers.send(0, "v1", "v1", "v1", "v2", "v1")
    producers.send(1, "v3", "v1", place="header")
    producers.send(2, *["v1"] * 10)
    producers.send(3, *["v1"] * 10)
    expected = {0: 8, 1: 5, 2: 15, 3: 15}
    until("what is known goes on", lambda: positions(tested) == expected, worker)

    # It hangs, which is worse; what is known still goes on.
    registry.become(Mood.HANGING)
    began = time.monotonic()
    producers.send(2, *["v1"] * 10)
    producers.send(3, *["v1"] * 10)
    expected |= {2: 25, 3: 25}
    until("what is known goes on while the registry hangs", lambda: positions(tested) == expected, worker)
    assert time.monotonic() - began < 20
    assert read_all(tested.bootstrap, tested.dead_letters) == []

    # It is back: everything else is answered, and nothing twice.
    registry.become(Mood.WELL)
    expected |= {0: 10, 1: 7}
    until("all is answered", lambda: positions(tested) == expected, worker)
    producers.send(0, "v2", "v3", "v1", place="header")
    producers.send(0, "v3", "v2", "v1")
    expected |= {0: 16}
    until("writers in turn are answered", lambda: positions(tested) == expected, worker)
    assert worker.terminate() == 0

    assert read_all(tested.bootstrap, tested.dead_letters) == []
    deserializer = AvroDeserializer(client)
    context = SerializationContext(tested.predictions, MessageField.VALUE)
    scorer = stream_infer.open_package(tested.package.path)
    for partition, records in by_partition(read_all(tested.bootstrap, tested.predictions)).items():
        predictions = [deserializer(record.value, context) for record in records]
        numbers = [int(name.removeprefix("p-")) for name in producers.sent[partition]]
        assert [p["copied"]["id"] for p in predictions] == producers.sent[partition]
        assert [p["source_offset"] for p in predictions] == list(range(len(numbers)))
        wanted = scorer.predict([payment(number) for number in numbers])
        assert [p["score"] for p in predictions] == pytest.approx([w["score"] for w in wanted], abs=1e-12)
        assert [p["label"] for p in predictions] == [w["label"] for w in wanted]


def test_what_no_registry_knows_and_what_cannot_be_read_are_dead_letters(
    tested: Pipeline,
    registry: StubRegistry,
    client: SchemaRegistryClient,
    start_worker: Callable[[Path], Worker],
) -> None:
    config = write_config(tested, registry)
    producers = Producers(tested, client)
    producers.register()
    other = registry.add("other-value", INCOMPATIBLE)
    proto = registry.add("proto-value", "syntax = 'proto3';", schemaType="PROTOBUF")
    assert stream_infer_command("topics", "create", "-c", str(config)).returncode == 0
    producers.send(0, "v1")
    for schema_id in (999, 2**31 + 5, other, proto):
        producers.send_raw(0, b"\0" + schema_id.to_bytes(4, "big") + b"\2")
    producers.send_raw(0, b"no framing at all")
    producers.send(0, "v2")

    worker = start_worker(config)
    until("all is answered", lambda: sum(positions(tested).values()) == 7, worker)
    assert worker.terminate() == 0

    letters = read_all(tested.bootstrap, tested.dead_letters)
    classes = [dict(letter.headers)["streaminfer.error.class"] for letter in sorted(letters, key=offset_of)]
    assert classes == [
        b"unknown_schema",
        b"unknown_schema",
        b"schema_incompatible",
        b"schema_incompatible",
        b"bad_magic",
    ]
    assert len(read_all(tested.bootstrap, tested.predictions)) == 2


def offset_of(letter: Record) -> int:
    return int(dict(letter.headers)["__dlq.errors.offset"] or b"")


def test_the_worker_never_registers_and_check_says_what_is_missing(
    tested: Pipeline, registry: StubRegistry
) -> None:
    config = write_config(tested, registry)

    before = json.loads(stream_infer_command("check", "-c", str(config), "--json").stdout)
    dry = stream_infer_command("topics", "create", "-c", str(config), "--dry-run")
    registered_by_check_and_dry_run = dict(registry.subjects)
    created = stream_infer_command("topics", "create", "-c", str(config), "--json")
    after = stream_infer_command("check", "-c", str(config), "--json")

    [problem] = before["problems"]
    assert (problem["key"], problem["fix"]) == (
        "output.topic",
        "register it with `stream-infer topics create`",
    )
    assert "would be registered" in dry.stdout
    assert registered_by_check_and_dry_run == {}
    [subject] = json.loads(created.stdout)["subjects"]
    assert subject["subject"] == f"{tested.predictions}-value"
    assert registry.compatibility == {f"{tested.predictions}-value": "FULL_TRANSITIVE"}
    assert (after.returncode, json.loads(after.stdout)["problems"]) == (0, [])
    assert any("looked up once" in line for line in json.loads(after.stdout)["skipped"])


def test_check_says_when_the_registry_is_away_or_its_newest_events_cannot_be_read(
    tested: Pipeline, registry: StubRegistry
) -> None:
    config = write_config(tested, registry)
    stream_infer_command("topics", "create", "-c", str(config))
    registry.add(f"{tested.input}-value", INCOMPATIBLE)

    unreadable = stream_infer_command("check", "-c", str(config), "--json")
    registry.become(Mood.FAILING)
    away = stream_infer_command("check", "-c", str(config), "--json")
    running = stream_infer_command("run", "-c", str(config))
    creating = stream_infer_command("topics", "create", "-c", str(config))

    [problem] = json.loads(unreadable.stdout)["problems"]
    assert problem["key"] == "input.topics"
    assert "amount" in problem["message"]
    assert unreadable.returncode == 2
    [problem] = json.loads(away.stdout)["problems"]
    assert problem["key"] == "schema_registry.url"
    assert away.returncode == running.returncode == creating.returncode == 4
