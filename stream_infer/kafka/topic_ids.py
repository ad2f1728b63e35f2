"""The ids of the input topics: a topic that was deleted and recreated has another id (KIP-516).

An id never returns. So when a topic has the id X at two moments, all that was read of it in between was of X.
The offsets of X say nothing about a topic with another id. Brokers before 2.8 know no ids.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # a public name, not marked as exported
    TopicDescription,
)

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka.admin_requests import AdminRequests
from stream_infer.kafka.client import Properties
from stream_infer.kafka.error_policy import error_of

NO_ID = ""
_NO_ID_OF_BROKER = "AAAAAAAAAAAAAAAAAAAAAA"
_REQUEST_S = 2.0
_WITHIN_S = 5.0
_SLICE_S = 0.1

Question = Callable[[Sequence[str]], Mapping[str, Future[TopicDescription]]]
"""Asks the brokers to describe topics, without waiting for the answer."""


def asking(properties: Properties) -> Question:
    """Return a question to the brokers of `properties`; its client connects when it is asked first."""
    requests: list[AdminRequests] = []

    def ask(topics: Sequence[str]) -> Mapping[str, Future[TopicDescription]]:
        if not requests:
            requests.append(AdminRequests(properties, _REQUEST_S))
        client = requests[0].client
        client.poll(0)
        return client.describe_topics(TopicCollection(list(topics)), request_timeout=_REQUEST_S)

    return ask


class TopicIds:
    """The ids of `topics`, as the brokers told them last. One thread owns it.

    `found` has the last answer for each topic: its id, `NO_ID` where the brokers know none, None for a topic
    that does not exist. `used` has the id under which this worker committed offsets of a topic last, or else
    met it first.
    """

    def __init__(self, question: Question, topics: Sequence[str], *, stopping: Callable[[], bool]) -> None:
        self._question = question
        self._topics = topics
        self._stopping = stopping
        self._asked: Mapping[str, Future[TopicDescription]] = {}
        self.asked_at = float("-inf")
        self.found: dict[str, str | None] = {}
        self.used: dict[str, str] = {}

    def ask(self) -> None:
        """Send a question. Its answer takes the place of that to an earlier one."""
        if self._topics:
            self._asked = self._question(self._topics)
            self.asked_at = time.monotonic()

    def look(self) -> None:
        """Take the answer to the last question if it is there."""
        if self._asked and all(asked.done() for asked in self._asked.values()):
            self._take()

    def wait(self) -> Mapping[str, str | None]:
        """Return the answer to the last question, which is asked again while no broker answers.

        Raises `BrokerUnreachable`.
        """
        deadline = time.monotonic() + _WITHIN_S
        reason = "no answer"
        while self._asked:
            if not wait(self._asked.values(), _SLICE_S).not_done:
                trouble = self._take()
                if trouble is None:
                    break
                reason = trouble.str()
                self.ask()
            if self._stopping() or time.monotonic() > deadline:
                raise BrokerUnreachable(f"no broker tells the ids of {', '.join(self._topics)}: {reason}")
        return self.found

    def now(self) -> Mapping[str, str | None]:
        """Ask, and return the answer. Raises `BrokerUnreachable`."""
        self.ask()
        return self.wait()

    def is_missing(self, topic: str) -> bool:
        """Whether `topic` did not exist when the brokers were asked last."""
        return self.found.get(topic, NO_ID) is None

    def _take(self) -> KafkaError | None:
        """Take over an answer; return the error in place of one."""
        asked, self._asked = self._asked, {}
        trouble = None
        for topic, future in asked.items():
            exception = future.exception()
            if exception is None:
                told = str(future.result().topic_id)
                self.found[topic] = NO_ID if told == _NO_ID_OF_BROKER else told
                self.used.setdefault(topic, self.found[topic] or NO_ID)
            elif not isinstance(exception, KafkaException):
                raise exception
            elif error_of(exception).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                self.found[topic] = None
            else:
                trouble = error_of(exception)
        return trouble


def differs(used: str | None, found: str | None) -> bool:
    """Whether the id `found` shows that a topic is no more that of the id `used`, or does not exist."""
    return found is None or (bool(used) and bool(found) and used != found)
