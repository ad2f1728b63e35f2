"""Consumers that are no worker, in the group of a pipeline: told by `check`, `/readyz` and the log."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer

from tests.support.events import Framing
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import readyz
from tests.support.worker_process import Worker, until

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


@pytest.fixture
def tested(pipeline: MakePipeline) -> Pipeline:
    return pipeline(Framing.NONE)


@pytest.fixture
def join(tested: Pipeline) -> Iterator[Callable[..., Consumer]]:
    """Return what puts a foreign consumer into the group; it is polled in `members`."""
    joined: list[Consumer] = []

    def start(properties: Mapping[str, str]) -> Consumer:
        common = {
            "bootstrap.servers": tested.bootstrap,
            "group.id": tested.group,
            "client.id": "stranger",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": "false",
        }
        consumer = Consumer({**common, **properties})
        consumer.subscribe([tested.input])
        joined.append(consumer)
        return consumer

    yield start
    for consumer in joined:
        consumer.close()


def has_partitions(consumer: Consumer) -> Callable[[], bool]:
    def poll() -> bool:
        consumer.poll(0.1)
        return bool(consumer.assignment())

    return poll


def test_a_foreign_consumer_is_told_until_it_leaves(
    tested: Pipeline, join: Callable[..., Consumer], start_worker: Start
) -> None:
    keeps_out = join({"partition.assignment.strategy": "range"})
    until("it has partitions", has_partitions(keeps_out))
    [port] = free_ports(1)
    config = tested.write_config("0", http={"port": port})
    worker = start_worker(config)
    until("it is told", lambda: bool(readyz(port).get("foreign_members")), worker)

    answer = readyz(port)
    [told] = answer["foreign_members"]
    assert "the group assigns by range, not cooperative-sticky" in told
    assert any(reason.startswith("no assignment") for reason in answer["waiting_for"])
    assert '"event": "foreign members"' in worker.output()
    assert told in warnings_of_check(config)

    keeps_out.close()
    until("the worker has all partitions", lambda: readyz(port)["assigned_partitions"] == 4, worker)
    until("nothing is told", lambda: readyz(port)["foreign_members"] == [], worker)

    shares = join({"group.protocol": "consumer"})
    until("it has partitions", has_partitions(shares), worker)
    taken = ", ".join(sorted(f"{one.topic}/{one.partition}" for one in shares.assignment()))
    until("it is told", lambda: tells(readyz(port), taken), worker)
    assert readyz(port)["ready"]

    shares.close()
    until("nothing is told", lambda: readyz(port)["foreign_members"] == [], worker)
    assert '"event": "foreign members left"' in worker.output()
    assert worker.terminate() == 0


def tells(answer: Mapping[str, Any], partitions: str) -> bool:
    told = " ".join(answer["foreign_members"])
    return told.startswith("consumer stranger at ") and f"do not get the records of {partitions};" in told


def warnings_of_check(config: Path) -> Sequence[str]:
    done = subprocess.run(
        [sys.executable, "-m", "stream_infer.cli.main", "check", "-c", str(config), "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    warnings: list[str] = json.loads(done.stdout)["warnings"]
    return warnings
