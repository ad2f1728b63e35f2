"""Brokers that tell the ids of topics at once."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from stream_infer.kafka.topic_ids import TopicIds

MISSING = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "no such topic")
SILENT = KafkaError(KafkaError._TIMED_OUT, "no answer")


class ToldIds:
    """The broker: `told` has the id of each topic, or the error in place of a description."""

    def __init__(self, told: Mapping[str, str | KafkaError]) -> None:
        self.told: MutableMapping[str, str | KafkaError] = dict(told)
        self.asked = 0

    def __call__(self, topics: Sequence[str]) -> Mapping[str, Future[Any]]:
        self.asked += 1
        return {topic: _answer(self.told[topic]) for topic in topics}


def _answer(told: str | KafkaError) -> Future[Any]:
    answer: Future[Any] = Future()
    if isinstance(told, KafkaError):
        answer.set_exception(KafkaException(told))
    else:
        answer.set_result(SimpleNamespace(topic_id=told))
    return answer


def topic_ids(told: Mapping[str, str | KafkaError] | ToldIds, *, stopping: bool = False) -> TopicIds:
    """Return the ids of these topics."""
    broker = told if isinstance(told, ToldIds) else ToldIds(told)
    return TopicIds(broker, list(broker.told), stopping=lambda: stopping)
