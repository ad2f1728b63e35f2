"""Describes, creates and deletes topics.

Every request has a time limit; silence is `BrokerUnreachable`. `app.checks` compares the answers with the
configuration. librdkafka's mock cluster answers `partition_counts` only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    ConfigResource,
    NewTopic,
    ResourceType,
)

from stream_infer.flow.errors import Fatal
from stream_infer.kafka.admin_requests import ADMIN_TIMEOUT_S, AdminRequests, operation_names
from stream_infer.kafka.client import Properties
from stream_infer.kafka.error_policy import error_of

DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's default of `max.message.bytes`, for topics whose configuration may not be read."""

_BROKERS_DEFAULT = -1


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the broker describes it; `operations` are the rights of this principal (READ, WRITE, ...).

    A topic that was deleted and recreated has another `id`. `max_message_bytes` is Kafka's default, and only
    `assumed`, where this principal may not read the configuration.
    """

    partitions: int
    operations: frozenset[str]
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    id: str = ""
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class MissingTopic:
    """A topic that the broker does not describe; `exists` is None where this principal may not know."""

    exists: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """Partition counts, record size limits and ids, by topic. A mock cluster tells no ids.

    The limits of the topics in `assumed` are a guess.
    """

    partitions: Mapping[str, int]
    max_message_bytes: Mapping[str, int]
    ids: Mapping[str, str] = field(default_factory=dict)
    assumed: frozenset[str] = frozenset()


def facts_of(topics: Mapping[str, Topic]) -> TopicFacts:
    """Return the facts of `topics`."""
    return TopicFacts(
        {name: topic.partitions for name, topic in topics.items()},
        {name: topic.max_message_bytes for name, topic in topics.items()},
        {name: topic.id for name, topic in topics.items()},
        frozenset(name for name, topic in topics.items() if topic.assumed),
    )


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic to create."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    replication_factor: int = _BROKERS_DEFAULT


class CreateResult(StrEnum):
    """The result of creating a topic."""

    CREATED = "created"
    EXISTED = "existed"


def describe_topics(
    properties: Properties, names: Sequence[str], *, timeout_s: float = ADMIN_TIMEOUT_S
) -> Mapping[str, Topic | MissingTopic]:
    """Return the description of each topic; raise `BrokerUnreachable` when no broker answers in time.

    Unlike a metadata request for a name, this never makes the broker create the topic.
    """
    line = AdminRequests(properties, timeout_s)
    answers = line.ask(
        line.client.describe_topics(
            TopicCollection(list(names)), include_authorized_operations=True, request_timeout=timeout_s
        )
    )
    found = [name for name, answer in answers.items() if not isinstance(answer, KafkaError)]
    limits = _limits(line, found, timeout_s)
    described: dict[str, Topic | MissingTopic] = {}
    for name, answer in answers.items():
        if isinstance(answer, KafkaError):
            described[name] = _absent(answer)
        else:
            operations = operation_names(answer.authorized_operations)
            described[name] = Topic(
                len(answer.partitions),
                operations,
                limits.get(name, DEFAULT_MAX_MESSAGE_BYTES),
                str(answer.topic_id),
                assumed=name not in limits,
            )
    return described


def create_topics(
    properties: Properties, wanted: Sequence[TopicSpec], *, timeout_s: float = ADMIN_TIMEOUT_S
) -> Mapping[str, CreateResult]:
    """Create the topics that do not exist. Raises `Fatal` with the broker's reason when it refuses one."""
    line = AdminRequests(properties, timeout_s)
    new = [NewTopic(w.name, w.partitions, w.replication_factor, config=dict(w.config)) for w in wanted]
    if not new:
        return {}
    asked = line.client.create_topics(new, operation_timeout=timeout_s, request_timeout=timeout_s)
    made: dict[str, CreateResult] = {}
    for name, answer in line.ask(asked).items():
        if not isinstance(answer, KafkaError):
            made[name] = CreateResult.CREATED
        elif answer.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            made[name] = CreateResult.EXISTED
        else:
            raise Fatal(f"topic {name} cannot be created: {answer.str()}")
    return made


def delete_topics(
    properties: Properties, names: Sequence[str], *, timeout_s: float = ADMIN_TIMEOUT_S
) -> None:
    """Delete topics; those that do not exist are left alone. Raises `Fatal` when the broker refuses one."""
    line = AdminRequests(properties, timeout_s)
    answers = line.ask(line.client.delete_topics(list(names), request_timeout=timeout_s))
    for name, answer in answers.items():
        if isinstance(answer, KafkaError) and answer.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise Fatal(f"topic {name} cannot be deleted: {answer.str()}")


def partition_counts(
    properties: Properties, names: Sequence[str], *, timeout_s: float = ADMIN_TIMEOUT_S
) -> TopicFacts:
    """Return the partition counts as metadata has them, with default limits: all that a mock cluster knows.

    A mock cluster creates the topics that it is asked for.
    """
    line = AdminRequests(properties, timeout_s)
    counts: dict[str, int] = {}
    for name in names:
        try:
            counts[name] = len(line.client.list_topics(name, timeout=timeout_s).topics[name].partitions)
        except KafkaException as exception:
            raise line.unreachable(error_of(exception)) from exception
    return TopicFacts(counts, dict.fromkeys(names, DEFAULT_MAX_MESSAGE_BYTES))


def _limits(line: AdminRequests, names: Sequence[str], timeout_s: float) -> dict[str, int]:
    """Return the limits of those topics whose configuration may be read."""
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    answers = line.ask(line.client.describe_configs(resources, request_timeout=timeout_s))
    return {
        resource.name: int(answer["max.message.bytes"].value)
        for resource, answer in answers.items()
        if not isinstance(answer, KafkaError)
    }


def _absent(error: KafkaError) -> MissingTopic:
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return MissingTopic(exists=False, reason="does not exist")
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return MissingTopic(exists=None, reason="does not exist or may not be described by this principal")
    return MissingTopic(exists=None, reason=f"cannot be described: {error.str()}")
