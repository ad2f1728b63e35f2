"""A commit request that the network holds back and delivers late, into the next transaction.

The client speaks the transaction protocol in which all transactions of one producer look alike to the broker
(librdkafka #5423): a late EndTxn commits whatever is open when it comes. A loop that only does what the
documentation says leaks; one that takes a new producer after any doubt does not.
"""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaException, Producer

from tests.conftest import Topics
from tests.kafka.broker import Broker, Route
from tests.kafka.log import read_all
from tests.kafka.proxy import Api, Held, Proxy, Way

WITHIN_S = 30.0
INVALID_PRODUCER_EPOCH = 47
PRODUCER_FENCED = 90


def producer_of(bootstrap: str, transactional_id: str) -> Producer:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": transactional_id,
            "socket.timeout.ms": 1_000,  # so long a delayed answer is awaited, then the request sent again
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
    assert held.caught
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
