"""A topic that is taken away while its worker runs: the batch waits, and is answered when it is back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from confluent_kafka.cimpl import NewTopic

from tests.support.clients import admin
from tests.support.events import Framing, Poison, generate, poisoned, send
from tests.support.pipeline import Pipeline
from tests.support.worker_process import Group, Worker, until

COUNT, PARTITIONS = 2_000, 4
WITHIN_S = 60.0


def test_no_offset_passes_an_output_that_could_not_be_written(
    pipeline: Callable[[Framing], Pipeline], start_worker: Callable[[Path], Worker]
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    client = admin(tested.bootstrap)
    timeouts = {"transaction.timeout.ms": 3_000}
    worker = start_worker(tested.write_config("0", kafka_producer=timeouts))
    until("the worker has joined", lambda: any(group.members().values()), worker)

    client.delete_topics([tested.dead_letters])[tested.dead_letters].result(WITHIN_S)
    bad_first = poisoned(PARTITIONS, Poison.EMPTY, Framing.NONE, seed=14)
    events = [*bad_first, *generate(COUNT - PARTITIONS, Framing.NONE, seed=14)]
    send(tested.bootstrap, tested.input, events)
    until("a batch is aborted", lambda: "batch aborted" in worker.output(), worker)
    assert group.committed() == 0
    assert tested.answered() == []
    again = NewTopic(tested.dead_letters, num_partitions=2, replication_factor=1)
    client.create_topics([again])[tested.dead_letters].result(WITHIN_S)

    until("all events are answered", lambda: group.committed() == COUNT, worker)
    assert worker.terminate() == 0
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples
