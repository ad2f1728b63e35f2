"""The tests' own reader: it must see what Kafka shows, or no other test proves anything."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.conftest import Topics
from tests.support.broker import Broker
from tests.support.log import Isolation, committed, read_all


def transactional(broker: Broker, name: str) -> Producer:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": name, "linger.ms": 0})
    producer.init_transactions(20)
    return producer


def test_a_committed_reader_sees_committed_records_only(broker: Broker, topics: Topics) -> None:
    topic = topics("log.isolation", 2)
    producer = transactional(broker, topic)
    for value, end in ((b"kept", producer.commit_transaction), (b"thrown away", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value, partition=1)
        producer.flush()
        end(20)

    assert [record.value for record in read_all(broker.bootstrap, topic)] == [b"kept"]
    everything = read_all(broker.bootstrap, topic, Isolation.UNCOMMITTED)
    assert [(record.partition, record.offset, record.value) for record in everything] == [
        (1, 0, b"kept"),
        (1, 2, b"thrown away"),  # the commit marker took offset 1
    ]


def test_an_open_transaction_does_not_block_the_reader(broker: Broker, topics: Topics) -> None:
    topic = topics("log.open", 1)
    producer = transactional(broker, topic)
    producer.begin_transaction()
    producer.produce(topic, b"undecided")
    producer.flush()

    assert read_all(broker.bootstrap, topic) == []
    assert len(read_all(broker.bootstrap, topic, Isolation.UNCOMMITTED)) == 1
    producer.abort_transaction(20)


def test_a_record_is_read_as_it_was_written(broker: Broker, topics: Topics) -> None:
    topic = topics("log.record", 1)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    headers: list[tuple[str, str | bytes | None]] = [("a", b"1"), ("a", None), ("b", b"")]
    producer.produce(topic, None, b"key", headers=headers, timestamp=1_234)
    producer.flush()

    (record,) = read_all(broker.bootstrap, topic)

    assert (record.key, record.value, record.timestamp_ms) == (b"key", None, 1_234)
    assert record.headers == (("a", b"1"), ("a", None), ("b", b""))


def test_committed_offsets_are_those_of_the_group(broker: Broker, topics: Topics) -> None:
    topic = topics("log.committed", 2)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topic})
    consumer.commit(offsets=[TopicPartition(topic, 1, 17)], asynchronous=False)
    consumer.close()

    assert committed(broker.bootstrap, topic, topic) == {0: 0, 1: 17}
