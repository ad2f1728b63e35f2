"""Reading a topic from outside of any group, and writing beside the stream."""

from __future__ import annotations

import logging

import pytest
from confluent_kafka import Producer

from stream_infer.kafka.best_effort import BestEffortPublisher
from stream_infer.kafka.standalone_reader import Unreadable, newest_values, tail
from tests.conftest import Topics
from tests.support.broker import Broker

LOGGER = logging.getLogger("tests.board")


def config(broker: Broker) -> dict[str, object]:
    return {"bootstrap.servers": broker.bootstrap}


def test_the_newest_value_of_each_key_is_found(broker: Broker, topics: Topics) -> None:
    topic = topics("status", 2)
    publisher = BestEffortPublisher(config(broker), logger=LOGGER)
    publisher.open()
    for key, value in ((b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"gone", b"1"), (b"gone", None)):
        publisher.post(topic, key, value)
    publisher.close()

    assert newest_values(config(broker), topic) == {b"a": b"2", b"b": b"1"}


def test_an_empty_topic_holds_nothing(broker: Broker, topics: Topics) -> None:
    assert newest_values(config(broker), topics("status", 3)) == {}


def test_what_comes_later_is_read_with_its_headers(broker: Broker, topics: Topics) -> None:
    topic = topics("events", 1)
    producer = Producer(config(broker))
    with tail(config(broker), topic) as reading:
        while not reading.caught_up:
            assert reading.read(0.2) == []
        producer.produce(topic, b"v", b"k", headers=[("ce_id", b"1")])
        assert producer.flush(10) == 0
        found = reading.read(10.0)

    assert [(e.key, e.value, list(e.headers)) for e in found] == [(b"k", b"v", [("ce_id", b"1")])]


def test_a_topic_that_does_not_exist_is_an_error(broker: Broker) -> None:
    with pytest.raises(Unreadable, match=r"no\.such\.topic cannot be read"):
        newest_values(config(broker), "no.such.topic")


def test_a_post_that_nobody_takes_neither_blocks_nor_raises() -> None:
    publisher = BestEffortPublisher(
        {"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 100}, logger=LOGGER
    )
    publisher.open()

    publisher.post("t", b"k", b"v")

    publisher.close()
