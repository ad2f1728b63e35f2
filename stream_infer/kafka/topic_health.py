"""Whether the monitoring topics, which scoring can do without, accept records now.

The broker is asked when a commit was aborted or hangs, and every second while a topic is unavailable, on a
thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Self

from confluent_kafka import KafkaException

from stream_infer.flow.errors import StreamInferError
from stream_infer.flow.records import Channel
from stream_infer.kafka.client import Properties
from stream_infer.kafka.topics import MissingTopic, Topic, describe_topics

_ASK_S = 2.0
_EVERY_S = 1.0


class TopicHealth:
    """A `runtime.degradable.ChannelHealth`. All topics count as available before the first `refresh`.

    Used by the loop's thread, and by its own between `start()` and `close()`; `unavailable` is replaced
    whole.
    """

    def __init__(self, properties: Properties, topics: Mapping[Channel, str]) -> None:
        self._properties = properties
        self._topics = topics
        self._unavailable: Mapping[Channel, str] = {}
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def unavailable(self) -> Mapping[Channel, str]:
        return self._unavailable

    def refresh(self) -> None:
        try:
            described = describe_topics(
                self._properties, sorted(set(self._topics.values())), timeout_s=_ASK_S
            )
        except (StreamInferError, KafkaException):  # without an answer the known state stays
            return
        found = {channel: reason_against(name, described[name]) for channel, name in self._topics.items()}
        self._unavailable = {channel: reason for channel, reason in found.items() if reason is not None}
        if self._unavailable:
            self._wake.set()

    def cannot_succeed(self, topics: Collection[str]) -> bool:
        """Refresh; return whether one of `topics`, which a transaction writes to, accepts no records."""
        self.refresh()
        return any(self._topics[channel] in topics for channel in self.unavailable)

    def start(self) -> None:
        """Start the thread that refreshes while a topic is unavailable."""
        if self._unavailable:
            self._wake.set()
        self._thread = threading.Thread(target=self._run, name="topic-health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread, at once unless it waits for an answer."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2 * _ASK_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            while self._unavailable and not self._stop.wait(_EVERY_S):
                self.refresh()


def reason_against(name: str, topic: Topic | MissingTopic) -> str | None:
    """Return why `name` accepts no records, or None. A broker that reports no rights forbids nothing."""
    if isinstance(topic, MissingTopic):
        return f"{name} {topic.reason}"
    if topic.operations and "WRITE" not in topic.operations:
        return f"{name} may not be written by this principal"
    return None
