from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_infer.flow.records import Partition
from stream_infer.kafka import held_offsets
from stream_infer.kafka.held_offsets import has_group_begun, holding_transaction, offsets_partition

CONFIG = {"bootstrap.servers": "b:1", "group.id": "group", "group.instance.id": "0", "client.id": "c"}
WAITING = [Partition("events", 1)]


class Reader:
    """A consumer of uncommitted records; `error` is what one partition says in place of its offset."""

    closed = 0

    def __init__(self, config: Mapping[str, object], *, failure: int | None, error: str | None) -> None:
        assert "group.instance.id" not in config
        assert config["isolation.level"] == "read_uncommitted"
        self._failure = failure
        self._error = error

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[Any]:
        assert timeout <= 1.0
        if self._failure is not None:
            raise KafkaException(KafkaError(self._failure))
        return [SimpleNamespace(topic=p.topic, error=self._error) for p in partitions]

    def list_topics(self, name: str, timeout: float) -> Any:
        assert timeout <= 1.0
        return SimpleNamespace(topics={name: SimpleNamespace(partitions=dict.fromkeys(range(50)))})

    def close(self) -> None:
        Reader.closed += 1


def told(monkeypatch: pytest.MonkeyPatch, failure: int | None = None, error: str | None = None) -> str | None:
    def make(config: Mapping[str, object], logger: object) -> Reader:
        assert logger is not None
        return Reader(config, failure=failure, error=error)

    before = Reader.closed
    monkeypatch.setattr(held_offsets, "Consumer", make)
    sentence = holding_transaction(CONFIG, WAITING)
    assert Reader.closed == before + 1
    return sentence


def test_an_answer_to_a_reader_of_uncommitted_records_names_the_transaction_and_the_commands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sentence = told(monkeypatch)

    assert sentence is not None
    assert sentence.startswith("UNSTABLE_OFFSET_COMMIT: ")
    where = "--topic __consumer_offsets --partition 47"
    assert f"kafka-transactions.sh --bootstrap-server b:1 describe-producers {where}`" in sentence
    assert f"kafka-transactions.sh --bootstrap-server b:1 abort {where} --start-offset N`" in sentence


def test_a_broker_that_does_not_answer_either_says_nothing_about_transactions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert told(monkeypatch, failure=KafkaError._TIMED_OUT) is None
    assert told(monkeypatch, error="unknown") is None


@pytest.mark.parametrize(
    ("group_id", "partition"),
    [("group", 98629247 % 50), ("polygenelubricants", 0)],  # Java: the second one is the least integer
)
def test_the_partition_of_a_group_is_that_of_kafka(group_id: str, partition: int) -> None:
    assert offsets_partition(group_id, 50) == partition


@pytest.mark.parametrize(
    ("offsets", "begun"), [({0: -1001, 1: -1001}, False), ({0: -1001, 1: 0}, True), (None, False)]
)
def test_a_group_has_begun_when_a_partition_has_an_offset(
    monkeypatch: pytest.MonkeyPatch, offsets: Mapping[int, int] | None, *, begun: bool
) -> None:
    def committed(places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        if offsets is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return [TopicPartition(p.topic, p.partition, offsets[p.partition]) for p in places]

    def make(config: Mapping[str, object], logger: object) -> Any:
        assert config["isolation.level"] == "read_uncommitted"
        assert logger is not None
        topics = {"events": SimpleNamespace(partitions=[0, 1])}
        metadata = SimpleNamespace(topics=topics)
        return SimpleNamespace(list_topics=lambda timeout: metadata, committed=committed, close=lambda: None)

    monkeypatch.setattr(held_offsets, "Consumer", make)

    assert has_group_begun(CONFIG, ["events", "missing"]) is begun
