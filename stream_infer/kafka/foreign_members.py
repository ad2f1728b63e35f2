"""Consumers in the group of a pipeline that are no worker of it: they take partitions, or keep workers out.

All workers are static members whose `client.id` begins with their slot's name, or with the one in [kafka]. A
default Java consumer also knows the assignor of the workers and shares their partitions; so does a consumer
of the KIP-848 protocol. Where one that only knows another assignor came first, no worker can join.
"""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import ConsumerGroupState, ConsumerGroupType, KafkaError
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    ConsumerGroupDescription,
    MemberDescription,
)

from stream_infer.kafka.admin_requests import ADMIN_TIMEOUT_S, AdminRequests
from stream_infer.kafka.client import Properties

_SETTLED = frozenset({ConsumerGroupState.STABLE, ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})
_ASSIGNOR = "cooperative-sticky"


class GroupInquiry:
    """Asks the broker about one group."""

    def __init__(self, properties: Properties, group_id: str, *, timeout_s: float = ADMIN_TIMEOUT_S) -> None:
        self._properties = properties
        self._group_id = group_id
        self._requests = AdminRequests(properties, timeout_s)

    def ask(self) -> Sequence[str] | None:
        """Return a sentence for each foreign member; None while the group rebalances or may not be seen.

        Raises `BrokerUnreachable`.
        """
        answer = self._requests.describe_groups([self._group_id])[self._group_id]
        if isinstance(answer, KafkaError):
            return () if answer.code() == KafkaError.GROUP_ID_NOT_FOUND else None
        return foreign_members(answer, self._properties) if answer.state in _SETTLED else None


def foreign_members(group: ConsumerGroupDescription, properties: Properties) -> Sequence[str]:
    """Return a sentence for each member of `group` that is no worker with these `properties`."""
    client_id = properties.consumer.get("client.id") or properties.common.get("client.id")
    begin = str(client_id or f"{group.group_id}.")
    return sorted(_sentence(group, member) for member in group.members if not _is_worker(member, begin))


def _is_worker(member: MemberDescription, begin: str) -> bool:
    return bool(member.group_instance_id) and str(member.client_id).startswith(begin)


def _sentence(group: ConsumerGroupDescription, member: MemberDescription) -> str:
    host = member.host.removeprefix("/")
    taken = member.assignment.topic_partitions
    names = ", ".join(sorted(f"{one.topic}/{one.partition}" for one in taken))
    parts = [
        f"consumer {member.client_id} at {host} is no worker and is in the group {group.group_id}",
        f"workers do not get the records of {names}" if names else "it has no partitions",
    ]
    if group.type is ConsumerGroupType.CLASSIC and group.partition_assignor not in ("", _ASSIGNOR):
        parts.append(f"no worker can join: the group assigns by {group.partition_assignor}, not {_ASSIGNOR}")
    return f"{'; '.join(parts)}; stop it, or give it a group.id of its own"
