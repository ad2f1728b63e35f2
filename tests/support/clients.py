"""Kafka clients of the tests themselves. They log nothing when the broker ends before them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

_ANSWER_WITHIN_S = 30.0

SILENT = logging.getLogger("tests.support")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def admin(bootstrap: str) -> AdminClient:
    """Return an admin client."""
    return AdminClient({"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 200}, logger=SILENT)


def is_known(client: AdminClient, topic: str) -> bool:
    """Return whether the broker describes `topic`."""
    try:
        client.describe_topics(TopicCollection([topic]))[topic].result(_ANSWER_WITHIN_S)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
        return False
    return True


@contextmanager
def topics_removed(bootstrap: str, *names: str) -> Iterator[None]:
    """Delete all topics with one of `names` in their name when the block ends."""
    yield
    client = admin(bootstrap)
    known = client.list_topics(timeout=_ANSWER_WITHIN_S).topics
    left = [topic for topic in known if any(name in topic for name in names)]
    for deleted in client.delete_topics(left).values() if left else ():
        deleted.result(_ANSWER_WITHIN_S)
