"""Describes topics and groups before a group is joined, and creates topics.

Every request has a time limit; silence is `BrokerUnreachable`. `app.checks` compares the answers with the
configuration. librdkafka's mock cluster answers `partition_counts` only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    AdminClient,
    ConfigResource,
    ConsumerGroupDescription,
    NewTopic,
    ResourceType,
)

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.kafka.client import SILENT, Properties, admin
from stream_infer.kafka.error_policy import error_of, is_unreachable

ADMIN_TIMEOUT_S = 10.0
DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's default of `max.message.bytes`, for topics whose configuration may not be read."""

_BROKERS_DEFAULT = -1
_POLL_S = 0.05

Key = TypeVar("Key")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the broker describes it; `operations` are the rights of this principal (READ, WRITE, ...).

    A topic that was deleted and recreated has another `id`.
    """

    partitions: int
    operations: frozenset[str]
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    id: str = ""


@dataclass(frozen=True, slots=True)
class MissingTopic:
    """A topic that the broker does not describe; `exists` is None where this principal may not know."""

    exists: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """Partition counts and record size limits, by topic."""

    partitions: Mapping[str, int]
    max_message_bytes: Mapping[str, int]


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
    line = _Line(properties, timeout_s)
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
            operations = _names(answer.authorized_operations)
            described[name] = Topic(len(answer.partitions), operations, limits[name], str(answer.topic_id))
    return described


def group_operations(
    properties: Properties, group_ids: Sequence[str], *, timeout_s: float = ADMIN_TIMEOUT_S
) -> Mapping[str, frozenset[str]]:
    """Return the rights of this principal on each group. The request neither joins nor creates a group.

    All at once: a new client waits half a second before it has found its first coordinator.
    """
    line = _Line(properties, timeout_s)
    asked = line.client.describe_consumer_groups(
        list(group_ids), include_authorized_operations=True, request_timeout=timeout_s
    )
    return {group_id: _permitted(answer) for group_id, answer in line.ask(asked).items()}


def _permitted(answer: ConsumerGroupDescription | KafkaError) -> frozenset[str]:
    if not isinstance(answer, KafkaError):
        return _names(answer.authorized_operations)
    # A broker since 4.0 may say that the group does not exist: then nothing forbids to create it.
    return frozenset({"READ"}) if answer.code() == KafkaError.GROUP_ID_NOT_FOUND else frozenset()


def group_members(
    properties: Properties, group_id: str, *, timeout_s: float = ADMIN_TIMEOUT_S
) -> frozenset[str] | None:
    """Return the static members (`group.instance.id`) of a group; None when the broker does not tell."""
    line = _Line(properties, timeout_s)
    answer = line.ask(line.client.describe_consumer_groups([group_id], request_timeout=timeout_s))[group_id]
    if not isinstance(answer, KafkaError):
        return frozenset(m.group_instance_id for m in answer.members if m.group_instance_id)
    return frozenset() if answer.code() == KafkaError.GROUP_ID_NOT_FOUND else None


def slot_holder(
    properties: Properties, group_id: str, instance_id: str, *, timeout_s: float = ADMIN_TIMEOUT_S
) -> str | None:
    """Return the member id under which a group has this static member; None when it has not."""
    line = _Line(properties, timeout_s)
    answer = line.ask(line.client.describe_consumer_groups([group_id], request_timeout=timeout_s))[group_id]
    if isinstance(answer, KafkaError):
        return None
    return next((m.member_id for m in answer.members if m.group_instance_id == instance_id), None)


def create_topics(
    properties: Properties, wanted: Sequence[TopicSpec], *, timeout_s: float = ADMIN_TIMEOUT_S
) -> Mapping[str, CreateResult]:
    """Create the topics that do not exist. Raises `Fatal` with the broker's reason when it refuses one."""
    line = _Line(properties, timeout_s)
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
    line = _Line(properties, timeout_s)
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
    line = _Line(properties, timeout_s)
    counts: dict[str, int] = {}
    for name in names:
        try:
            counts[name] = len(line.client.list_topics(name, timeout=timeout_s).topics[name].partitions)
        except KafkaException as exception:
            raise line.unreachable(error_of(exception)) from exception
    return TopicFacts(counts, dict.fromkeys(names, DEFAULT_MAX_MESSAGE_BYTES))


class _Line:
    """An admin client for a few requests. It connects in the background."""

    def __init__(self, properties: Properties, timeout_s: float) -> None:
        self._servers = properties.servers
        self._timeout_s = timeout_s
        self._trouble: list[KafkaError] = []
        self.client = AdminClient({**admin(properties)}, logger=SILENT, error_cb=self._trouble.append)

    def ask(self, futures: Mapping[Key, Future[Answer]]) -> dict[Key, Answer | KafkaError]:
        """Return the answer to each request, or the error that the broker gave in its place."""
        while wait(futures.values(), _POLL_S).not_done:
            self.client.poll(0)
        answers: dict[Key, Answer | KafkaError] = {}
        for key, future in futures.items():
            exception = future.exception()
            if exception is None:
                answers[key] = future.result()
            elif isinstance(exception, KafkaException):
                error = error_of(exception)
                if is_unreachable(error):
                    raise self.unreachable(error) from exception
                answers[key] = error
            else:
                raise exception
        return answers

    def unreachable(self, error: KafkaError) -> BrokerUnreachable:
        """Return the failure with the error of the connection: it says more than a timeout."""
        told = [e for e in self._trouble if e.code() != KafkaError._ALL_BROKERS_DOWN]  # noqa: SLF001 - librdkafka's local error
        reason = (told or [error])[0].str()
        return BrokerUnreachable(f"no answer from {self._servers} within {self._timeout_s:.0f} s: {reason}")


def _limits(line: _Line, names: Sequence[str], timeout_s: float) -> dict[str, int]:
    limits = dict.fromkeys(names, DEFAULT_MAX_MESSAGE_BYTES)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not resources:
        return limits
    answers = line.ask(line.client.describe_configs(resources, request_timeout=timeout_s))
    for resource, answer in answers.items():
        if not isinstance(answer, KafkaError):
            limits[resource.name] = int(answer["max.message.bytes"].value)
    return limits


def _absent(error: KafkaError) -> MissingTopic:
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        return MissingTopic(exists=False, reason="does not exist")
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return MissingTopic(exists=None, reason="does not exist or may not be described by this principal")
    return MissingTopic(exists=None, reason=f"cannot be described: {error.str()}")


def _names(operations: Sequence[Enum] | None) -> frozenset[str]:
    return frozenset(operation.name for operation in operations or ())
