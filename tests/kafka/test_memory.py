"""What waits on the broker stays there: a worker holds its fetch queue and one batch, whatever there is."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fastavro
import psutil

from tests.support.events import SCHEMA, Event, Framing, generate, send
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
