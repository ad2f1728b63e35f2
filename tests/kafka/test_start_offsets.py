"""Where a group goes on when its records, its topic or its offsets are gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_END, TopicPartition

from tests.conftest import Topics
from tests.kafka.test_odd_records_run import write
from tests.support.clients import admin
from tests.support.events import Framing, generate, send
from tests.support.log import committed
from tests.support.odd_frames import WINDOW, with_field
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import readyz
from tests.support.watched import watch
from tests.support.worker_process import Worker, until
from tests.unit.steps.monitoring.recorded import FRAMES, RECORDS

EACH = 25
PARTITIONS = 4
WITHIN_S = 30.0

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


@pytest.fixture
def tested(pipeline: MakePipeline) -> Pipeline:
    return pipeline(Framing.NONE)


def send_more(tested: Pipeline, each: int = EACH, *, transaction: str | None = None) -> None:
    """Append `each` events to every partition of the input."""
    good = [event for event in generate(2 * each * PARTITIONS, Framing.NONE, seed=3) if event.poison is None]
    send(tested.bootstrap, tested.input, good[: each * PARTITIONS], transaction=transaction)


def all_at(tested: Pipeline, offset: int) -> Callable[[], bool]:
    """Whether the group has committed `offset` in every partition."""
    return lambda: set(committed(tested.bootstrap, tested.group, tested.input).values()) == {offset}


def is_ready(*ports: int) -> Callable[[], bool]:
    return lambda: all(readyz(port).get("ready") for port in ports)


def expire(tested: Pipeline) -> None:
    """Delete all records of the input, as retention does: the logs hold nothing, from their ends on."""
    client = admin(tested.bootstrap)  # the answer comes only while the client lives
    ends = [TopicPartition(tested.input, index, OFFSET_END) for index in range(PARTITIONS)]
    for done in client.delete_records(ends).values():
        done.result(WITHIN_S)


def forget(bootstrap: str, group: str) -> bool:
    """Delete the group, as its expiry does; return False while it has members."""
    client = admin(bootstrap)  # the answer comes only while the client lives
    return client.delete_consumer_groups([group])[group].exception(WITHIN_S) is None


def test_a_quiet_transactional_input_whose_records_expired_loses_nothing(
    tested: Pipeline, start_worker: Start
) -> None:
    ports = free_ports(2)
    configs = [tested.write_config(str(slot), http={"port": port}) for slot, port in enumerate(ports)]
    send_more(tested, transaction=tested.name)
    worker = start_worker(configs[0])
    # A marker follows the records of each partition.
    until("the group is past the markers", all_at(tested, EACH + 1), worker)
    assert worker.terminate() == 0
    expire(tested)

    workers = [start_worker(config) for config in configs]
    until("both workers are ready", is_ready(*ports), *workers)
    send_more(tested, transaction=tested.name)
    until("all is answered", all_at(tested, 2 * EACH + 2), *workers)

    assert "partition halted" not in "".join(worker.output() for worker in workers)
    assert [worker.terminate() for worker in workers] == [0, 0]
    offsets = [*range(EACH), *range(EACH + 1, 2 * EACH + 1)]
    assert tested.answered() == [(partition, offset) for partition in range(PARTITIONS) for offset in offsets]


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_pipeline_whose_offsets_expired_asks_and_neither_skips_nor_answers_twice(
    tested: Pipeline, start_worker: Start, start: str
) -> None:
    [port] = free_ports(1)
    config = tested.write_config("0", input={"start": start}, http={"port": port})
    worker = start_worker(config)
    until("the worker is ready", is_ready(port), worker)
    send_more(tested)
    until("all is answered", all_at(tested, EACH), worker)
    assert worker.terminate() == 0
    answered = tested.answered()
    send_more(tested)
    until("the group is gone", lambda: forget(tested.bootstrap, tested.group))

    worker = start_worker(config)
    until("it asks", lambda: "has no committed offsets" in str(readyz(port).get("waiting_for")), worker)
    assert readyz(port)["ready"] is False
    assert worker.terminate() == 0

    assert tested.answered() == answered


def test_a_monitor_whose_offsets_expired_goes_on_from_its_state(
    tested: Pipeline, topics: Topics, start_worker: Callable[..., Worker]
) -> None:
    watched = watch(tested, topics)
    frames = [with_field(one.value, "pipeline", tested.name) for one in RECORDS if one.source == FRAMES]
    half = len(frames) // 2

    for part, count in ((frames[:half], half), (frames[half:], len(frames))):
        monitor = start_worker(watched.config("m"), "--role", "monitor")
        write(watched, watched.observations, [*part])
        until("all is counted", lambda count=count: watched.remembered() == count * WINDOW, monitor)
        assert monitor.terminate() == 0
        until("the group is gone", lambda: forget(tested.bootstrap, f"{tested.name}.monitor"))
