"""What waits on the broker stays there: a worker holds its fetch queue and one batch, whatever there is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import fastavro
import psutil
from confluent_kafka import Producer

from tests.support.events import SCHEMA, SCHEMA_FILE, Event, Framing, generate, send
from tests.support.log import Record, read_all
from tests.support.pipeline import Pipeline
from tests.support.worker_process import Group, Worker, until

DISTINCT = 500
USUAL, BURST = 20 * DISTINCT, 200 * DISTINCT
EVENT_BYTES = 1_000
BATCH_BYTES = 2 * 2**20
QUEUE_KB = 4 * 2**10
MB = 2**20


def test_a_tenfold_burst_is_answered_in_the_memory_of_the_usual_load(
    pipeline: Callable[[Framing], Pipeline], start_worker: Callable[[Path], Worker]
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    config = tested.write_config(
        "0",
        output={"copy": []},
        worker={"max_batch_bytes": BATCH_BYTES},
        kafka_consumer={"queued.max.messages.kbytes": QUEUE_KB},
    )
    events = large_events()

    def most_resident_mb(count: int, *, committed: int) -> float:
        send(tested.bootstrap, tested.input, events * (count // DISTINCT))
        worker = start_worker(config)
        seen = resident_until(lambda: group.committed() == committed, worker)
        assert worker.terminate() == 0
        return max(seen)

    usual_mb = most_resident_mb(USUAL, committed=USUAL)
    burst_mb = most_resident_mb(BURST, committed=USUAL + BURST)

    assert burst_mb - usual_mb < BURST * EVENT_BYTES / MB / 3


def resident_until(reached: Callable[[], bool], worker: Worker) -> list[float]:
    """Return the resident memory in MB that `worker` was seen with until then."""
    process = psutil.Process(worker.pid)
    seen: list[float] = []

    def looked() -> bool:
        seen.append(process.memory_info().rss / MB)
        return reached()

    until("the backlog is answered", looked, worker)
    return seen


def large_events() -> list[Event]:
    """Return good events, each with an id as long as a document."""
    good = (event for event in generate(2 * DISTINCT, Framing.NONE, seed=5) if event.poison is None)
    return [
        replace(event, value=large(event.value or b""))
        for event, _ in zip(good, range(DISTINCT), strict=False)
    ]


def large(value: bytes) -> bytes:
    """Return the event with a longer id."""
    event = fastavro.schemaless_reader(io.BytesIO(value), SCHEMA, None)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, {**event, "id": event["id"].ljust(EVENT_BYTES, "x")})
    return out.getvalue()


MOST_MB = 1_000
READING = {"type": "record", "name": "Reading", "fields": [
    {"name": f"r{number}", "type": ["null", "double"]} for number in range(20)
]}  # fmt: skip
FITS, TOO_LARGE = 600_000, 990_000


def test_forty_events_of_a_megabyte_that_decode_to_gigabytes_are_answered_within_one(
    pipeline: Callable[[Framing], Pipeline], start_worker: Callable[[Path], Worker]
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    schema = write_schema(tested.folder)
    config = tested.write_config("0", input={"schema": str(schema)})
    producer = Producer({"bootstrap.servers": tested.bootstrap, "compression.type": "zstd"})
    for number, event in enumerate(plain_events(80)):
        nulls = (FITS, TOO_LARGE)[number // 4 % 2]
        producer.produce(tested.input, with_nulls(event.value or b"", nulls), partition=number % 4)
    assert producer.flush(60) == 0

    worker = start_worker(config)
    until("all are answered", lambda: group.committed() == 80, worker, within_s=300)

    assert most_resident_so_far_mb(worker) < MOST_MB
    assert worker.terminate() == 0
    assert len(tested.answered()) == 40
    letters = read_all(tested.bootstrap, tested.dead_letters)
    assert {dict(letter.headers)["streaminfer.error.class"] for letter in letters} == {b"decoded_too_large"}
    assert len(letters) == 40
    assert all(len(letter.value or b"") > TOO_LARGE or is_by_reference(letter) for letter in letters)


def is_by_reference(letter: Record) -> bool:
    return "streaminfer.value.omitted" in dict(letter.headers)


def most_resident_so_far_mb(worker: Worker) -> float:
    """Return the most resident memory that the worker has ever had."""
    status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def write_schema(folder: Path) -> Path:
    """Return a file with the schema of payments, and an array of nullable readings after their fields."""
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    schema["fields"].append({"name": "readings", "type": {"type": "array", "items": ["null", READING]}})
    path = folder / "readings.avsc"
    path.write_text(json.dumps(schema), encoding="utf-8")
    return path


def with_nulls(payment: bytes, nulls: int) -> bytes:
    """Return a payment whose array has so many nulls, a byte each."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", nulls)
    return payment + out.getvalue() + bytes(nulls) + b"\0"


def plain_events(count: int) -> list[Event]:
    """Return good events."""
    good = (event for event in generate(2 * count, Framing.NONE, seed=7) if event.poison is None)
    return list(islice(good, count))
