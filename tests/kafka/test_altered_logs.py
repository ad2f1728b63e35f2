"""Logs that lose records under their topic: truncated ones, and compacted ones. On a broker of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.conftest import Topics, own_cluster
from tests.support.broker import Broker
from tests.support.cluster import Cluster
from tests.support.events import Framing, generate, send
from tests.support.log import committed, read_all
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import readyz
from tests.support.worker_process import Worker, until

PARTITIONS = 4
OLD, NEW = 25, 60  # events in each partition
WITHIN_S = 30.0

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_cluster(settings={"log.cleaner.backoff.ms": "200"}) as running:
        yield running


@pytest.fixture(scope="module")
def broker(cluster: Cluster) -> Broker:
    return Broker(cluster.bootstrap, cluster.route)


def fill(tested: Pipeline, each: int) -> None:
    """Append `each` events to every partition of the input."""
    good = [event for event in generate(2 * each * PARTITIONS, Framing.NONE, seed=3) if event.poison is None]
    keyed = [replace(event, key=b"%d" % number) for number, event in enumerate(good)]
    send(tested.bootstrap, tested.input, keyed[: each * PARTITIONS])


def all_at(tested: Pipeline, offset: int) -> Callable[[], bool]:
    """Whether the group has committed `offset` in every partition."""
    return lambda: set(committed(tested.bootstrap, tested.group, tested.input).values()) == {offset}


def truncate(cluster: Cluster, topic: str) -> None:
    """Take away all records of `topic`, as a broker that comes back with an empty disk does."""
    cluster.kill(0)
    for log in (cluster.nodes[0].folder / "data").glob(f"{topic}-*"):
        shutil.rmtree(log)
    cluster.start(0)


def offsets(*each: int) -> list[tuple[int, int]]:
    """Partition and offset of so many events in each partition, log by log."""
    return sorted((p, o) for count in each for p in range(PARTITIONS) for o in range(count))


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_truncated_log_that_has_passed_the_old_offset_is_a_loss_and_not_read_on(
    pipeline: MakePipeline, cluster: Cluster, start_worker: Start, start: str
) -> None:
    tested, [port] = pipeline(Framing.NONE), free_ports(1)
    asking = tested.write_config("0", input={"start": start}, http={"port": port})
    worker = start_worker(asking)
    until("the worker is ready", lambda: readyz(port).get("ready") is True, worker)
    fill(tested, OLD)
    until("the old events are answered", all_at(tested, OLD), worker)
    assert worker.terminate() == 0
    truncate(cluster, tested.input)
    fill(tested, NEW)

    worker = start_worker(asking)
    until("the worker asks", lambda: "is not in the log" in str(readyz(port).get("waiting_for")), worker)
    assert worker.terminate() == 0
    assert tested.answered() == offsets(OLD)

    worker = start_worker(
        tested.write_config("0", input={"start": start, "on_lost_offset": "earliest"}, http={"port": port})
    )
    until("the new events are answered", all_at(tested, NEW), worker)
    assert worker.terminate() == 0
    assert tested.answered() == offsets(OLD, NEW)
    assert any('"offsets lost"' in line for line in worker.lines())


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_compacted_log_is_read_on_and_each_record_that_is_left_is_answered_once(
    pipeline: MakePipeline, topics: Topics, start_worker: Start, start: str
) -> None:
    config = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.0",
        "segment.ms": "200",
        "min.compaction.lag.ms": "0",
    }
    tested = pipeline(Framing.NONE)
    tested = replace(tested, input=topics("payments.compacted", PARTITIONS, config))
    [port] = free_ports(1)
    settings = tested.write_config("0", input={"start": start}, http={"port": port})
    worker = start_worker(settings)
    until("the worker is ready", lambda: readyz(port).get("ready") is True, worker)
    fill(tested, OLD)
    until("the old events are answered", all_at(tested, OLD), worker)
    assert worker.terminate() == 0

    [event, *_] = generate(50, Framing.NONE, seed=4)
    producer = Producer({"bootstrap.servers": tested.bootstrap})

    def is_compacted() -> bool:
        for partition in range(PARTITIONS):
            producer.produce(tested.input, event.value, b"one key", partition=partition)
        assert producer.flush(WITHIN_S) == 0
        left = {(r.partition, r.offset) for r in read_all(tested.bootstrap, tested.input)}
        return not any((p, OLD) in left for p in range(PARTITIONS))

    until("the records at the committed offsets are gone", is_compacted)
    worker = start_worker(settings)
    left = [(r.partition, r.offset) for r in read_all(tested.bootstrap, tested.input) if r.offset >= OLD]
    until(
        "all that is left is answered", lambda: len(tested.answered()) >= OLD * PARTITIONS + len(left), worker
    )
    assert worker.terminate() == 0

    assert set(tested.answered()) >= {*offsets(OLD), *left}
    assert len(tested.answered()) == len(set(tested.answered()))
    assert not any('"partition halted"' in line for line in worker.lines())
