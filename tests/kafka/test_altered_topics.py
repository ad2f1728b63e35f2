"""Topics that are altered while a worker runs: more partitions, smaller records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    AclOperation,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from tests.support.access import denied
from tests.support.clients import admin
from tests.support.events import Event, Framing, Poison, generate
from tests.support.log import partitions_of, read_all
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import readyz
from tests.support.worker_process import Group, Worker, until

WITHIN_S = 60.0
EACH = 20

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


def good(count: int) -> Sequence[Event]:
    events = generate(10 * count, Framing.NONE, seed=21)
    return [event for event in events if event.poison is None][:count]


def send_to(tested: Pipeline, partition: int, events: Sequence[Event]) -> None:
    producer = Producer({"bootstrap.servers": tested.bootstrap})
    for event in events:
        producer.produce(tested.input, event.value, event.key, partition)
    assert producer.flush(WITHIN_S) == 0


def add_partitions(tested: Pipeline, topic: str, count: int) -> None:
    client = admin(tested.bootstrap)
    client.create_partitions([NewPartitions(topic, count)])[topic].result(WITHIN_S)


def lower_limit(tested: Pipeline, topic: str, max_message_bytes: int) -> None:
    entry = ConfigEntry(
        "max.message.bytes", str(max_message_bytes), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client = admin(tested.bootstrap)
    [altered] = client.incremental_alter_configs([resource]).values()
    altered.result(WITHIN_S)


def test_a_new_partition_of_the_input_waits_for_one_of_the_output_and_the_others_go_on(
    pipeline: MakePipeline, start_worker: Start
) -> None:
    tested, events = pipeline(Framing.NONE), good(EACH)
    group = Group(tested)
    [port] = free_ports(1)
    quick = {"topic.metadata.refresh.interval.ms": 500}
    config = tested.write_config("0", http={"port": port}, kafka=quick)
    worker = start_worker(config)
    send_to(tested, 0, events)
    until("the first are answered", lambda: group.committed() == EACH, worker)

    add_partitions(tested, tested.input, 5)
    until("the partition is there", lambda: len(partitions_of(tested.bootstrap, tested.input)) == 5, worker)
    group = Group(tested)
    send_to(tested, 4, events)

    def waiting() -> str:
        return " ".join(readyz(port).get("waiting_for", []))

    until("the new partition waits", lambda: f"{tested.input}/4" in waiting(), worker)
    said = waiting()
    send_to(tested, 0, events)
    until("the others go on", lambda: group.committed() == 2 * EACH, worker)
    # A restart is no reason to stop the others.
    assert worker.terminate() == 0
    worker = start_worker(config)
    send_to(tested, 0, events)
    until("the others go on again", lambda: group.committed() == 3 * EACH, worker)
    add_partitions(tested, tested.predictions, 6)
    until("all are answered", lambda: group.committed() == 4 * EACH, worker)
    until("it is ready again", lambda: readyz(port).get("ready"), worker)
    assert worker.terminate() == 0

    assert f"{tested.predictions} has 4 partitions" in said
    assert f"--alter --topic {tested.predictions} --partitions 5" in said
    expected = [(0, offset) for offset in range(3 * EACH)] + [(4, offset) for offset in range(EACH)]
    assert tested.answered() == expected
    assert "Unknown partition" not in config.with_suffix(".log").read_text("utf-8")


@pytest.mark.parametrize("readable", [True, False])
def test_a_limit_that_is_lowered_while_a_worker_runs_makes_dead_letters_by_reference(
    pipeline: MakePipeline, start_worker: Start, *, readable: bool
) -> None:
    tested, events = pipeline(Framing.NONE), good(EACH)
    group = Group(tested)
    written = [tested.dead_letters, tested.predictions]
    hidden = denied(tested.bootstrap, written, operation=AclOperation.DESCRIBE_CONFIGS)
    with nullcontext() if readable else hidden:
        worker = start_worker(tested.write_config("0"))
        send_to(tested, 0, events)
        until("the first are answered", lambda: group.committed() == EACH, worker)

        lower_limit(tested, tested.dead_letters, 20_000)
        lower_limit(tested, tested.predictions, 20_000)
        incompressible = np.random.default_rng(1).bytes(50_000)
        value = (events[0].value or b"") + incompressible
        send_to(tested, 0, [Event(b"large", value, [], Poison.TRAILING_BYTES)])
        send_to(tested, 0, events * 20)
        until("all are answered", lambda: group.committed() == 21 * EACH + 1, worker, within_s=60.0)
        assert worker.terminate() == 0
        assert ("record limit assumed" in worker.output()) is not readable

    [letter] = read_all(tested.bootstrap, tested.dead_letters)
    assert (letter.key, letter.value) == (b"large", None)
    assert dict(letter.headers)["streaminfer.value.omitted"] == str(len(value)).encode()
    assert len(tested.answered()) == 21 * EACH
