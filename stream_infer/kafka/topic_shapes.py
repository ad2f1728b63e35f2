"""The partitions and record limits of topics, read again while a worker runs.

Without the right to read the configuration of a topic (DESCRIBE_CONFIGS) its limit is assumed: Kafka's
default, and half of it each time that the topic has refused records as too large.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import replace

from confluent_kafka import KafkaException

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import StreamInferError
from stream_infer.kafka.client import Properties
from stream_infer.kafka.topics import Topic, TopicFacts, describe_topics, facts_of

_LOG = logging.getLogger(__name__)
_ASK_S = 2.0
_LEAST_BYTES = 1_024
"""A dead letter by reference fits into a record of this size."""


class TopicShapes:
    """What the broker told last about the topics of `facts`, which is replaced whole. One thread owns it."""

    def __init__(self, properties: Properties, facts: TopicFacts) -> None:
        self._properties = properties
        self.facts = facts

    def refresh(self) -> None:
        """Ask the broker again, within a time limit. Without an answer about a topic the last one stays."""
        try:
            described = describe_topics(self._properties, sorted(self.facts.partitions), timeout_s=_ASK_S)
        except (StreamInferError, KafkaException):
            return
        found = {name: topic for name, topic in described.items() if isinstance(topic, Topic)}
        told = facts_of(found)
        known = {name: limit for name, limit in told.max_message_bytes.items() if name not in told.assumed}
        self.facts = TopicFacts(
            {**self.facts.partitions, **told.partitions},
            {**told.max_message_bytes, **self.facts.max_message_bytes, **known},
            {**self.facts.ids, **told.ids},
            self.facts.assumed.difference(known) | told.assumed,
        )

    def lower_assumed(self, topics: Collection[str]) -> None:
        """Halve the assumed limits of `topics`, one of which has refused a record as too large."""
        limits = {
            name: max(_LEAST_BYTES, self.facts.max_message_bytes[name] // 2)
            for name in sorted(self.facts.assumed.intersection(topics))
        }
        if limits:
            self.facts = replace(self.facts, max_message_bytes={**self.facts.max_message_bytes, **limits})
            _LOG.warning(LogEvent.RECORD_LIMIT_ASSUMED, extra={"max_message_bytes": limits})
