"""The settings of the brokers that bound transactions and groups, and the topics in which they keep both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    ConfigResource,
    ResourceType,
)

from stream_infer.kafka.admin_requests import ADMIN_TIMEOUT_S, AdminRequests
from stream_infer.kafka.client import Properties

TRANSACTION_LOG = "__transaction_state"
GROUP_LOG = "__consumer_offsets"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """`nodes` is the number of brokers that are up.

    `values` are the settings of one of them by name, none where this principal may not see them. `replicas`
    are the replicas of `TRANSACTION_LOG` and `GROUP_LOG`: 0 for a topic that does not exist yet, no entry for
    one that this principal may not describe.
    """

    nodes: int
    values: Mapping[str, str]
    replicas: Mapping[str, int]

    def number(self, name: str) -> int | None:
        """Return the value of a setting, None where it is unknown."""
        return int(self.values[name]) if name in self.values else None


def broker_settings(properties: Properties, *, timeout_s: float = ADMIN_TIMEOUT_S) -> BrokerSettings:
    """Ask the cluster. Raises `BrokerUnreachable`."""
    line = AdminRequests(properties, timeout_s)
    cluster = line.ask({"": line.client.describe_cluster(request_timeout=timeout_s)})[""]
    if isinstance(cluster, KafkaError):
        raise line.unreachable(cluster)
    one = ConfigResource(ResourceType.BROKER, str(cluster.nodes[0].id))
    [config] = line.ask(line.client.describe_configs([one], request_timeout=timeout_s)).values()
    values = {} if isinstance(config, KafkaError) else {name: entry.value for name, entry in config.items()}
    names = TopicCollection([TRANSACTION_LOG, GROUP_LOG])
    replicas: dict[str, int] = {}
    for name, topic in line.ask(line.client.describe_topics(names, request_timeout=timeout_s)).items():
        if not isinstance(topic, KafkaError):
            replicas[name] = min(len(partition.replicas) for partition in topic.partitions)
        elif topic.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            replicas[name] = 0
    return BrokerSettings(len(cluster.nodes), {n: v for n, v in values.items() if v is not None}, replicas)
