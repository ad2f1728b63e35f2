"""Who has a slot: two workers under one name, one that comes back from a pause, one whose past comes back."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.broker import Route
from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.proxy import Api, Proxy, Way
from tests.support.worker_process import Group, Worker, until

COUNT = 4_000
SMALL_BATCHES = {"max_batch_records": 500}

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


@pytest.fixture
def tested(pipeline: MakePipeline) -> Pipeline:
    made = pipeline(Framing.NONE)
    send(made.bootstrap, made.input, generate(COUNT, Framing.NONE, seed=12))
    return made


def test_the_older_of_two_workers_under_one_slot_leaves_with_75(
    tested: Pipeline, start_worker: Start
) -> None:
    group = Group(tested)
    config = tested.write_config("0")
    older = start_worker(config)
    until("the first worker has answered all", lambda: group.committed() == COUNT, older)

    newer = start_worker(config)

    assert older.wait() == 75
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=13))
    until("the second worker answers", lambda: group.committed() == 2 * COUNT, newer)
    assert newer.terminate() == 0
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


@pytest.mark.parametrize(
    ("api", "transaction_timeout_ms"),
    [(Api.END_TXN, 60_000), (Api.END_TXN, 2_000), (Api.PRODUCE, 60_000)],
    ids=["within its time", "beyond its time", "with its output on the way"],
)
def test_a_worker_that_was_paused_amid_a_transaction_does_not_take_its_slot_back(
    route: Route, proxy: Proxy, tested: Pipeline, start_worker: Start, api: Api, transaction_timeout_ms: int
) -> None:
    group = Group(tested)
    timeout = {"transaction.timeout.ms": transaction_timeout_ms}
    held = proxy.hold(api, skip=2)
    paused = start_worker(
        tested.write_config("0", bootstrap=route.bootstrap, worker=SMALL_BATCHES, kafka_producer=timeout)
    )
    until("it is amid a transaction", held.is_caught, paused)
    paused.send_signal(signal.SIGSTOP)

    successor = start_worker(tested.write_config("0"))
    until("the successor has answered all", lambda: group.committed() == COUNT, successor)
    paused.send_signal(signal.SIGCONT)
    held.deliver()

    assert paused.wait() == 75
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=13))
    until("the successor goes on", lambda: group.committed() == 2 * COUNT, successor)
    assert successor.terminate() == 0
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


def test_a_late_request_for_an_epoch_is_not_taken_for_another_worker(
    route: Route, proxy: Proxy, tested: Pipeline, start_worker: Start
) -> None:
    group = Group(tested)
    held = proxy.hold(Api.INIT_PRODUCER_ID, Way.CUT)
    worker = start_worker(tested.write_config("0", bootstrap=route.bootstrap))
    until("all events are answered", lambda: group.committed() == COUNT, worker)

    held.deliver()
    held.wait_answered(20.0)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=13))
    until("the worker goes on", lambda: group.committed() == 2 * COUNT, worker)

    assert worker.terminate() == 0
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


def test_partitions_of_a_worker_that_died_amid_a_transaction_go_on_with_another(
    route: Route, proxy: Proxy, tested: Pipeline, start_worker: Start
) -> None:
    """Until the broker has ended that transaction, nobody can tell where to go on."""
    group = Group(tested)
    survivor = start_worker(tested.write_config("1"))
    until("all events are answered", lambda: group.committed() == COUNT, survivor)
    timeout = {"transaction.timeout.ms": 15_000}  # more than a question to the broker may usually take
    dying = start_worker(tested.write_config("0", bootstrap=route.bootstrap, kafka_producer=timeout))
    until("both have partitions", lambda: sorted(group.members().values()) == [2, 2], survivor, dying)

    held = proxy.hold(Api.END_TXN)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=13))
    until("it is about to commit", held.is_caught, dying)
    dying.kill()
    held.drop()

    until("the survivor has answered all", lambda: group.committed() == 2 * COUNT, survivor)
    assert survivor.terminate() == 0
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples
