"""Whether the monitoring topics, which scoring can do without, accept records now.

The broker is asked when a commit was aborted or hangs, and every second while a topic is unavailable, on a
thread of its own.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from confluent_kafka import KafkaException

from stream_infer.flow.errors import StreamInferError
from stream_infer.flow.records import Channel
from stream_infer.kafka.client import Properties
from stream_infer.kafka.topics import MissingTopic, Topic, describe_topics
from stream_infer.kafka.woken_thread import WokenThread

_ASK_S = 2.0
_EVERY_S = 1.0


class TopicHealth(WokenThread):
    """A `runtime.degradable.ChannelHealth`. All topics count as available before the first `refresh`.

    Used by the loop's thread, and by its own while it is entered; `unavailable` is replaced whole.
    """

    def __init__(self, properties: Properties, topics: Mapping[Channel, str]) -> None:
        super().__init__("topic-health", leaves_within_s=2 * _ASK_S)
        self._properties = properties
        self._topics = topics
        self._unavailable: Mapping[Channel, str] = {}
        self._asked_at = 0.0

    @property
    def unavailable(self) -> Mapping[Channel, str]:
        return self._unavailable

    def refresh(self) -> None:
        self._ask()
        if self._unavailable:
            self.wake()

    def cannot_succeed(self, topics: Collection[str]) -> bool:
        """Refresh; return whether one of `topics`, which a transaction writes to, accepts no records."""
        self.refresh()
        return any(self._topics[channel] in topics for channel in self.unavailable)

    def look(self) -> float | None:
        """Ask again while a topic is unavailable."""
        left_s = self._asked_at + _EVERY_S - time.monotonic()
        if self._unavailable and left_s <= 0:
            self._ask()
            left_s = _EVERY_S
        return left_s if self._unavailable else None

    def _ask(self) -> None:
        self._asked_at = time.monotonic()
        try:
            described = describe_topics(
                self._properties, sorted(set(self._topics.values())), timeout_s=_ASK_S
            )
        except (StreamInferError, KafkaException):  # without an answer the known state stays
            return
        found = {channel: reason_against(name, described[name]) for channel, name in self._topics.items()}
        self._unavailable = {channel: reason for channel, reason in found.items() if reason is not None}


def reason_against(name: str, topic: Topic | MissingTopic) -> str | None:
    """Return why `name` accepts no records, or None. A broker that reports no rights forbids nothing."""
    if isinstance(topic, MissingTopic):
        return f"{name} {topic.reason}"
    if topic.operations and "WRITE" not in topic.operations:
        return f"{name} may not be written by this principal"
    return None
