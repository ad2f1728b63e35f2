"""Topics that are deleted, and created again under the same name."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException
from confluent_kafka.cimpl import NewTopic

from tests.support.clients import admin, is_known
from tests.support.worker_process import until

_ANSWER_WITHIN_S = 30.0


def delete(bootstrap: str, topic: str) -> None:
    """Delete `topic`; return when the broker does not describe it any more."""
    client = admin(bootstrap)
    client.delete_topics([topic])[topic].result(_ANSWER_WITHIN_S)
    until(f"{topic} is gone", lambda: not is_known(client, topic))


def create_again(
    bootstrap: str, topic: str, partitions: int, config: Mapping[str, str] | None = None
) -> None:
    """Create `topic`; a broker refuses that for as long as it deletes the logs of the one before."""
    client = admin(bootstrap)

    def is_created() -> bool:
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=dict(config or {}))
        try:
            client.create_topics([new])[topic].result(_ANSWER_WITHIN_S)
        except KafkaException:
            return False
        return True

    until(f"{topic} is created", is_created)
    until(f"{topic} is known", lambda: is_known(client, topic))


def recreate(bootstrap: str, topic: str, partitions: int) -> None:
    """Delete `topic` and create it again at once."""
    delete(bootstrap, topic)
    create_again(bootstrap, topic, partitions)
