"""A range of a topic is read once, from where to where it was said, whatever else is in the log."""

from __future__ import annotations

import pytest
from confluent_kafka import Producer

from stream_infer.kafka.client import SILENT
from stream_infer.kafka.ranges import END, START, RangeBound, read_range
from stream_infer.kafka.standalone_reader import Unreadable
from tests.conftest import Topics
from tests.support.broker import Broker

BEGAN_MS = 1_760_000_000_000


def write(bootstrap: str, topic: str, *, commits: bool) -> None:
    """Write ten records to each of two partitions in one transaction, a second apart."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{topic}.{commits}"})
    producer.init_transactions(20)
    producer.begin_transaction()
    for number in range(10):
        for partition in range(2):
            value = b"%d/%d" % (partition, number)
            producer.produce(topic, value, partition=partition, timestamp=BEGAN_MS + 1000 * number)
    if commits:
        producer.commit_transaction(20)
    else:
        producer.flush(20)
        producer.abort_transaction(20)


def read(bootstrap: str, topic: str, first: RangeBound, last: RangeBound) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {0: [], 1: []}
    for batch in read_range({"bootstrap.servers": bootstrap, "logger": SILENT}, topic, first, last):
        for place, value in zip(batch.partition, batch.values, strict=True):
            partition, number = (value or b"").split(b"/")
            assert batch.partitions[place].index == int(partition)
            found[int(partition)].append(int(number))
    return found


@pytest.mark.parametrize(
    ("first", "last", "numbers"),
    [
        (START, END, range(10)),
        (RangeBound(offset=3), END, range(3, 10)),
        (START, RangeBound(offset=4), range(4)),
        (RangeBound(offset=2), RangeBound(offset=9), range(2, 9)),
        (RangeBound(offset=5), RangeBound(offset=5), range(0)),
        (RangeBound(offset=7), RangeBound(offset=2), range(0)),
        (START, RangeBound(offset=1_000), range(10)),
        (RangeBound(moment_ms=BEGAN_MS + 4_000), END, range(4, 10)),
        (RangeBound(moment_ms=BEGAN_MS + 1_500), RangeBound(moment_ms=BEGAN_MS + 6_000), range(2, 6)),
        (RangeBound(moment_ms=BEGAN_MS + 99_000), END, range(0)),
    ],
)
def test_what_lies_in_the_range_is_read_in_order_and_nothing_else(
    written: tuple[str, str], first: RangeBound, last: RangeBound, numbers: range
) -> None:
    assert read(*written, first, last) == {0: list(numbers), 1: list(numbers)}


def test_a_topic_that_does_not_exist_is_told(broker: Broker) -> None:
    with pytest.raises(Unreadable, match="nowhere"):
        read(broker.bootstrap, "nowhere.at.all", START, END)


@pytest.fixture
def written(broker: Broker, topics: Topics) -> tuple[str, str]:
    """Return a broker and a topic that ends in an aborted transaction."""
    topic = topics("ranges", 2, {"retention.ms": "-1"})
    write(broker.bootstrap, topic, commits=True)
    write(broker.bootstrap, topic, commits=False)
    return broker.bootstrap, topic
