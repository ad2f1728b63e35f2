"""A commit request that the network holds back and delivers late, into the next transaction.

The client speaks the transaction protocol in which all transactions of one producer look alike to the broker
(librdkafka #5423): a late EndTxn commits whatever is open when it comes. A loop that only does what the
documentation says leaks; one that takes a new producer after any doubt does not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer

from tests.conftest import Topics
from tests.support.broker import Broker, Route
from tests.support.events import Framing, generate, send
from tests.support.log import read_all
from tests.support.pipeline import Pipeline
from tests.support.proxy import Api, Held, Proxy, Way
from tests.support.worker_process import Group, Worker, until

WITHIN_S = 30.0
INVALID_PRODUCER_EPOCH = 47
PRODUCER_FENCED = 90

EVENTS = 20_000
SMALL_BATCHES = {"max_batch_records": 1_000}
IMPATIENT = {"socket.timeout.ms": 1_000}  # so long a delayed answer is awaited, then the request sent again


def producer_of(bootstrap: str, transactional_id: str) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            **IMPATIENT,
            "retry.backoff.ms": 5,
        }
    )
    producer.init_transactions(WITHIN_S)
    return producer


def commit_while_held(producer: Producer, proxy: Proxy, topic: str, way: Way) -> Held:
    """Commit a first transaction; its EndTxn is held, and the client has success all the same."""
    held = proxy.hold(Api.END_TXN, way)
    producer.begin_transaction()
    producer.produce(topic, b"first")
    producer.commit_transaction(WITHIN_S)
    assert held.is_caught()
    return held


@pytest.mark.parametrize("way", list(Way))
def test_a_plain_loop_leaks_an_aborted_record(
    broker: Broker, route: Route, proxy: Proxy, topics: Topics, way: Way
) -> None:
    topic = topics("chaos.plain", 1)
    producer = producer_of(route.bootstrap, topic)
    held = commit_while_held(producer, proxy, topic, way)

    producer.begin_transaction()
    producer.produce(topic, b"second")
    producer.flush(WITHIN_S)
    held.deliver()
    late = held.error_code(WITHIN_S)
    with pytest.raises(KafkaException, match="invalid state"):  # nothing is left to abort
        producer.abort_transaction(WITHIN_S)

    assert late == 0
    assert [record.value for record in read_all(broker.bootstrap, topic)] == [b"first", b"second"]


@pytest.mark.parametrize("way", list(Way))
def test_a_new_producer_refuses_the_late_commit(
    broker: Broker, route: Route, proxy: Proxy, topics: Topics, way: Way
) -> None:
    topic = topics("chaos.renewed", 1)
    producer = producer_of(route.bootstrap, topic)
    held = commit_while_held(producer, proxy, topic, way)

    renewed = producer_of(route.bootstrap, topic)
    renewed.begin_transaction()
    renewed.produce(topic, b"second")
    renewed.flush(WITHIN_S)
    held.deliver()
    late = held.error_code(WITHIN_S)
    renewed.abort_transaction(WITHIN_S)

    assert late in {INVALID_PRODUCER_EPOCH, PRODUCER_FENCED}
    assert [record.value for record in read_all(broker.bootstrap, topic)] == [b"first"]


@pytest.mark.parametrize("way", list(Way))
def test_the_worker_takes_a_new_producer_before_its_next_transaction(
    route: Route,
    proxy: Proxy,
    pipeline: Callable[[Framing], Pipeline],
    start_worker: Callable[[Path], Worker],
    way: Way,
) -> None:
    events = generate(EVENTS, Framing.NONE, seed=4)
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, events)
    config = tested.write_config(
        "0", bootstrap=route.bootstrap, worker=SMALL_BATCHES, kafka_producer=IMPATIENT
    )

    # The third commit is held; the client sends it again, and goes on. It arrives when the fourth
    # transaction is written and undecided. Only the broker's answer tells whether it decided it.
    late = proxy.hold(Api.END_TXN, way, skip=2)
    following = proxy.hold(Api.END_TXN, skip=1)
    worker = start_worker(config)
    until("the fourth transaction is about to commit", following.is_caught, worker)
    late.deliver()
    code = late.error_code(WITHIN_S)
    following.deliver()
    until("all events are answered", lambda: group.committed() == EVENTS, worker)
    assert worker.terminate() == 0
    verdict, _imported = tested.judged()

    assert code in {INVALID_PRODUCER_EPOCH, PRODUCER_FENCED}
    assert verdict.faults == {}, verdict.examples
