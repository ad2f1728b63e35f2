"""Describes consumer groups. No request here joins or creates one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError
from confluent_kafka.admin import ConsumerGroupDescription  # type: ignore[attr-defined]  # a public name, not marked as exported

from stream_infer.flow.errors import Fatal
from stream_infer.kafka.admin_requests import ADMIN_TIMEOUT_S, AdminRequests, operation_names
from stream_infer.kafka.client import Properties


def group_operations(
    properties: Properties, group_ids: Sequence[str], *, timeout_s: float = ADMIN_TIMEOUT_S
) -> Mapping[str, frozenset[str]]:
    """Return the rights of this principal on each group. The request neither joins nor creates a group.

    All at once: a new client waits half a second before it has found its first coordinator.
    """
    line = AdminRequests(properties, timeout_s)
    answers = line.describe_groups(group_ids, operations=True)
    return {group_id: _permitted(answer) for group_id, answer in answers.items()}


def _permitted(answer: ConsumerGroupDescription | KafkaError) -> frozenset[str]:
    if not isinstance(answer, KafkaError):
        return operation_names(answer.authorized_operations)
    # Brokers since 4.0 may answer that the group does not exist: then it may be created.
    return frozenset({"READ"}) if answer.code() == KafkaError.GROUP_ID_NOT_FOUND else frozenset()


def static_members(
    properties: Properties, group_id: str, *, timeout_s: float = ADMIN_TIMEOUT_S
) -> frozenset[str] | None:
    """Return the static members (`group.instance.id`) of a group, or None when the broker refuses."""
    line = AdminRequests(properties, timeout_s)
    answer = line.describe_groups([group_id])[group_id]
    if not isinstance(answer, KafkaError):
        return frozenset(m.group_instance_id for m in answer.members if m.group_instance_id)
    return frozenset() if answer.code() == KafkaError.GROUP_ID_NOT_FOUND else None


def all_members(
    properties: Properties, group_id: str, *, timeout_s: float = ADMIN_TIMEOUT_S
) -> frozenset[str]:
    """Return the names of all members: the `group.instance.id`, else the `client.id`.

    Raises `Fatal` when the broker refuses to tell.
    """
    line = AdminRequests(properties, timeout_s)
    answer = line.describe_groups([group_id])[group_id]
    if not isinstance(answer, KafkaError):
        return frozenset(m.group_instance_id or m.client_id for m in answer.members)
    if answer.code() == KafkaError.GROUP_ID_NOT_FOUND:
        return frozenset()
    raise Fatal(f"the members of {group_id} are unknown: {answer.str()}")
