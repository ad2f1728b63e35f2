"""Rights that a test takes away from everybody for a while. The brokers of the tests allow all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.support.clients import admin
from tests.support.worker_process import until

_ANSWER_WITHIN_S = 20.0


@contextmanager
def denied(
    bootstrap: str,
    names: Sequence[str],
    kind: ResourceType = ResourceType.TOPIC,
    operation: AclOperation = AclOperation.WRITE,
) -> Iterator[Callable[[], None]]:
    """Deny everybody one operation on `names`, until what is returned is called, or the test ends."""
    client = admin(bootstrap)
    who = (ResourcePatternType.LITERAL, "User:ANONYMOUS", "*")
    rules = [
        AclBinding(kind, name, *who, each, permission)
        for name in names
        for each, permission in (
            (AclOperation.ALL, AclPermissionType.ALLOW),
            (operation, AclPermissionType.DENY),
        )
    ]
    filters = [AclBindingFilter(kind, name, *who, AclOperation.ANY, AclPermissionType.ANY) for name in names]

    def kept() -> int:
        """Return how many rules about `names` the broker has taken in."""
        return sum(len(client.describe_acls(one).result(_ANSWER_WITHIN_S)) for one in filters)

    def allow() -> None:
        for answer in client.delete_acls(filters).values():
            answer.result(_ANSWER_WITHIN_S)
        until("everything is allowed again", lambda: kept() == 0)

    try:
        for answer in client.create_acls(rules).values():
            answer.result(_ANSWER_WITHIN_S)
    except KafkaException as exception:
        pytest.skip(f"this broker keeps no access rules: {exception}")
    try:
        until("the denial counts", lambda: kept() == len(rules))
        yield allow
    finally:
        allow()
