"""A broker that does not answer any more: the worker waits for it, and leaves when it is told to."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.broker import Route
from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.proxy import Api, Held, Proxy
from tests.support.worker_process import Group, Worker, until

COUNT = 4_000
LEAVES_WITHIN_S = 12.0  # ten, and the start and end of a process

# Less than the silence lasts: the session, the transaction, and the patience with one request.
IMPATIENT = {
    "worker": {"max_batch_records": 1_000},
    "kafka": {"socket.timeout.ms": 1_000},
    "kafka_producer": {"transaction.timeout.ms": 3_000},
}

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


def test_a_worker_with_nothing_to_do_leaves(
    route: Route, proxy: Proxy, pipeline: MakePipeline, start_worker: Start
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=9))
    worker = start_worker(tested.write_config("0", bootstrap=route.bootstrap))
    until("all events are answered", lambda: group.committed() == COUNT, worker)

    proxy.silence()
    worker.send_signal(signal.SIGTERM)

    assert worker.wait(LEAVES_WITHIN_S) == 0


@pytest.mark.parametrize("later", [False, True], ids=["at once", "after the limits"])
def test_a_worker_amid_a_commit_leaves_and_the_next_start_knows_what_became_of_it(
    route: Route, proxy: Proxy, pipeline: MakePipeline, start_worker: Start, *, later: bool
) -> None:
    """At once, or when session and transaction have timed out and a new epoch is waited for."""
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=9))
    config = tested.write_config("0", bootstrap=route.bootstrap, **IMPATIENT)
    held = proxy.hold(Api.END_TXN, skip=1)
    worker = start_worker(config)
    until("the second transaction is about to commit", held.is_caught, worker)

    proxy.silence()
    if later:
        until("the group has lost its member", lambda: not any(group.members().values()), worker)
    worker.send_signal(signal.SIGTERM)
    code = worker.wait(LEAVES_WITHIN_S)
    held.drop()
    proxy.resume()
    successor = start_worker(config)
    until("all events are answered", lambda: group.committed() == COUNT, successor)
    assert successor.terminate() == 0

    assert code == 0, worker.output()
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


def test_a_worker_amid_a_write_without_transactions_leaves_and_the_next_start_misses_nothing(
    route: Route, proxy: Proxy, pipeline: MakePipeline, start_worker: Start
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=9))
    config = tested.write_config(
        "0", bootstrap=route.bootstrap, delivery={"guarantee": "at_least_once"}, **IMPATIENT
    )
    held = proxy.hold(Api.PRODUCE, skip=1)
    worker = start_worker(config)
    until("records are about to be written", held.is_caught, worker)

    proxy.silence()
    worker.send_signal(signal.SIGTERM)
    code = worker.wait(LEAVES_WITHIN_S)
    held.drop()
    proxy.resume()
    successor = start_worker(config)
    until("all events are answered", lambda: group.committed() == COUNT, successor)
    assert successor.terminate() == 0

    assert code == 0, worker.output()
    verdict, _imported = tested.judged()
    assert verdict.faults.keys() <= {"doubled", "wrong order"}, verdict.examples


@pytest.mark.parametrize("fate", [Held.deliver, Held.drop], ids=["committed", "not committed"])
def test_a_worker_finds_out_what_became_of_a_commit_when_the_broker_answers_again(
    route: Route,
    proxy: Proxy,
    pipeline: MakePipeline,
    start_worker: Start,
    fate: Callable[[Held], None],
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=9))
    held = proxy.hold(Api.END_TXN, skip=1)
    worker = start_worker(tested.write_config("0", bootstrap=route.bootstrap, **IMPATIENT))
    until("the second transaction is about to commit", held.is_caught, worker)

    proxy.silence()
    fate(held)
    until("the group has lost its member", lambda: not any(group.members().values()), worker)
    proxy.resume()
    until("all events are answered", lambda: group.committed() == COUNT, worker)
    assert worker.terminate() == 0

    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


def test_partitions_that_went_to_another_worker_in_the_silence_are_not_answered_twice(
    route: Route, proxy: Proxy, pipeline: MakePipeline, start_worker: Start
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=9))
    held = proxy.hold(Api.END_TXN, skip=1)
    cut_off = start_worker(tested.write_config("0", bootstrap=route.bootstrap, **IMPATIENT))
    until("the second transaction is about to commit", held.is_caught, cut_off)

    proxy.silence()
    other = start_worker(tested.write_config("1"))
    until("the other one has answered all", lambda: group.committed() == COUNT, cut_off, other)
    held.deliver()
    proxy.resume()
    until("both have partitions", lambda: sorted(group.members().values()) == [2, 2], cut_off, other)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=10))
    until("both answer", lambda: group.committed() == 2 * COUNT, cut_off, other)

    assert cut_off.terminate() == 0
    assert other.terminate() == 0
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples
