"""A topic that is deleted and recreated under a worker: nothing is skipped, and nothing is answered twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.conftest import Topics
from tests.support.events import Framing, generate, send
from tests.support.lifecycle import create_again, delete, recreate
from tests.support.log import committed
from tests.support.models import said
from tests.support.odd_frames import WINDOW, with_field
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import readyz
from tests.support.watched import watch
from tests.support.worker_process import Worker, until
from tests.unit.steps.monitoring.recorded import FRAMES, RECORDS

PARTITIONS = 4
OLD, NEW = 100, 500  # events in each partition
WITHIN_S = 30.0

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


@pytest.fixture
def tested(pipeline: MakePipeline) -> Pipeline:
    return pipeline(Framing.NONE)


def fill(tested: Pipeline, each: int) -> None:
    """Append `each` events to every partition of the input."""
    good = [event for event in generate(2 * each * PARTITIONS, Framing.NONE, seed=3) if event.poison is None]
    send(tested.bootstrap, tested.input, good[: each * PARTITIONS])


def all_at(tested: Pipeline, offset: int) -> Callable[[], bool]:
    """Whether the group has committed `offset` in every partition."""
    return lambda: set(committed(tested.bootstrap, tested.group, tested.input).values()) == {offset}


def waits_for(port: int, reason: str) -> Callable[[], bool]:
    return lambda: reason in str(readyz(port).get("waiting_for"))


def lines(worker: Worker, event: str) -> list[str]:
    return [line for line in worker.lines() if f'"event": "{event}"' in line]


def offsets(*each: int) -> list[tuple[int, int]]:
    """Partition and offset of so many events in each partition, for each incarnation of the topic."""
    return sorted((p, o) for count in each for p in range(PARTITIONS) for o in range(count))


def replaced_at_once(tested: Pipeline, _worker: Worker, _port: int) -> None:
    recreate(tested.bootstrap, tested.input, PARTITIONS)
    fill(tested, NEW)


def replaced_after_8_s(tested: Pipeline, worker: Worker, port: int) -> None:
    delete(tested.bootstrap, tested.input)
    until("the worker is not ready", waits_for(port, f"input missing: {tested.input}"), worker, within_s=10.0)
    time.sleep(8.0)  # the time is what the case is about
    worker.check_alive()
    create_again(tested.bootstrap, tested.input, PARTITIONS)
    fill(tested, NEW)


def replaced_while_it_is_paused(tested: Pipeline, worker: Worker, _port: int) -> None:
    worker.send_signal(signal.SIGSTOP)
    replaced_at_once(tested, worker, 0)
    worker.send_signal(signal.SIGCONT)


def answered_before(tested: Pipeline, config: Path, port: int, start_worker: Start) -> Worker:
    """Return a worker that has answered the old events."""
    worker = start_worker(config)
    until("the worker is ready", lambda: readyz(port).get("ready") is True, worker)
    fill(tested, OLD)
    until("the old events are answered", all_at(tested, OLD), worker)
    return worker


@pytest.mark.parametrize(
    ("replace", "start"),
    [
        (replaced_at_once, "earliest"),
        (replaced_after_8_s, "latest"),
        (replaced_while_it_is_paused, "latest"),
    ],
)
def test_all_events_of_a_recreated_topic_are_answered_once(
    tested: Pipeline, start_worker: Start, replace: Callable[[Pipeline, Worker, int], None], start: str
) -> None:
    [port] = free_ports(1)
    section = {"start": start, "on_lost_offset": "earliest"}
    worker = answered_before(
        tested, tested.write_config("0", input=section, http={"port": port}), port, start_worker
    )

    replace(tested, worker, port)
    until("the new events are answered", all_at(tested, NEW), worker)

    until("the worker is ready", lambda: readyz(port).get("ready") is True, worker)
    assert worker.terminate() == 0
    assert tested.answered() == offsets(OLD, NEW)
    assert len(lines(worker, "offsets lost")) == 1


@pytest.mark.parametrize(("running", "start"), [(True, "earliest"), (False, "earliest"), (False, "latest")])
def test_a_recreated_topic_waits_for_a_decision_and_is_answered_once_after_it(
    tested: Pipeline, start_worker: Start, start: str, *, running: bool
) -> None:
    [port] = free_ports(1)
    config = tested.write_config("0", input={"start": start}, http={"port": port})
    worker = answered_before(tested, config, port, start_worker)

    assert running or worker.terminate() == 0
    replaced_at_once(tested, worker, port)
    worker = worker if running else start_worker(config)
    until("the worker asks", waits_for(port, "deleted"), worker)
    assert worker.terminate() == 0
    assert tested.answered() == offsets(OLD)

    planned = said("offsets", "reset", "-c", config, "--to", "earliest", "--wait", "--yes", "--json").document
    worker = start_worker(config)
    until("the new events are answered", all_at(tested, NEW), worker)

    assert worker.terminate() == 0
    moves = {(move["committed"], move["again"], move["skipped"]) for move in planned["partitions"]}
    assert moves == {(None, 0, 0)}
    assert tested.answered() == offsets(OLD, NEW)


def test_the_monitor_counts_each_frame_of_a_recreated_topic_once(
    tested: Pipeline, topics: Topics, start_worker: Callable[..., Worker]
) -> None:
    watched = watch(tested, topics)
    frames = [with_field(one.value, "pipeline", tested.name) for one in RECORDS if one.source == FRAMES]
    monitor = start_worker(watched.config("m"), "--role", "monitor")

    def is_read(count: int) -> bool:
        group = f"{tested.name}.monitor"
        return committed(tested.bootstrap, group, watched.observations) == {0: count}

    def write(times: int) -> None:
        producer = Producer({"bootstrap.servers": tested.bootstrap})
        for frame in frames * times:
            producer.produce(watched.observations, frame, partition=0)
        assert producer.flush(WITHIN_S) == 0

    write(1)
    until("the old frames are read", lambda: is_read(len(frames)), monitor)
    recreate(tested.bootstrap, watched.observations, 1)
    write(2)
    until("the new frames are read", lambda: is_read(2 * len(frames)), monitor)

    assert watched.remembered() == 3 * WINDOW * len(frames)
    [told] = [event for event in watched.events() if event["type"] == "offsets.lost"]
    assert (told["ranges"][0]["topic"], told["ranges"][0]["first_offset"]) == (watched.observations, 0)
    assert f"{watched.observations} was deleted and recreated" in told["summary"]
    assert monitor.terminate() == 0
    assert len(lines(monitor, "offsets lost")) == 1
