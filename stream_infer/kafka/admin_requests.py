"""Requests to the broker that are bounded in time; silence is `BrokerUnreachable`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from enum import Enum
from math import inf
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not all marked as exported
    AdminClient,
    ConsumerGroupDescription,
)

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka.client import SILENT, Properties, admin
from stream_infer.kafka.error_policy import error_of, is_unreachable

ADMIN_TIMEOUT_S = 10.0
_POLL_S = 0.05
_KEPT = 8
_LONGEST_S = 3_600.0  # the client takes no more

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class AdminRequests:
    """An admin client for a few requests. It connects in the background."""

    def __init__(self, properties: Properties, timeout_s: float) -> None:
        self._servers = properties.servers
        self._config = admin(properties)
        self._timeout_s = timeout_s
        self._trouble: deque[KafkaError] = deque(maxlen=_KEPT)
        self._client: AdminClient | None = None

    @property
    def client(self) -> AdminClient:
        """The client; the requests of one that was let go get no answer."""
        if self._client is None:
            self._client = AdminClient({**self._config}, logger=SILENT, error_cb=self._trouble.append)
        return self._client

    def ask(
        self, futures: Mapping[Key, Future[Answer]], *, within_s: float = inf
    ) -> dict[Key, Answer | KafkaError]:
        """Return the answer to each request, or the error that the broker gave in its place.

        Without all answers `within_s` seconds the client is let go. Raises `BrokerUnreachable`.
        """
        deadline = time.monotonic() + within_s
        while wait(futures.values(), _POLL_S).not_done:
            self.client.poll(0)
            if time.monotonic() > deadline:
                self._client = None
                raise self.unreachable(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - librdkafka's local error
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

    def describe_groups(
        self, group_ids: Sequence[str], *, operations: bool = False
    ) -> dict[str, ConsumerGroupDescription | KafkaError]:
        """Return the description of each group, on request with the rights of this principal.

        librdkafka keeps a request for the coordinator of a group beyond its time limit: the process aborts
        once a coordinator is found for it (confluentinc/librdkafka#4605), and it waits for ever for one that
        has left the cluster (#5456). So the client is let go before that limit, and its requests with it. It
        is let go after an answer too: once idle, it would keep a thread for the coordinator that wakes a
        thousand times a second.
        """
        asked = self.client.describe_consumer_groups(
            list(group_ids), include_authorized_operations=operations, request_timeout=_LONGEST_S
        )
        try:
            return self.ask(asked, within_s=self._timeout_s)
        finally:
            self._client = None

    def unreachable(self, error: KafkaError) -> BrokerUnreachable:
        """Return the failure with the error of the connection: it says more than a timeout."""
        told = [e for e in self._trouble if e.code() != KafkaError._ALL_BROKERS_DOWN]  # noqa: SLF001 - librdkafka's local error
        reason = (told or [error])[0].str()
        return BrokerUnreachable(f"no answer from {self._servers} within {self._timeout_s:.0f} s: {reason}")


def operation_names(operations: Sequence[Enum] | None) -> frozenset[str]:
    """Return the names of the rights that a description lists, for example READ."""
    return frozenset(operation.name for operation in operations or ())


def is_forbidden(operation: str, operations: frozenset[str]) -> bool:
    """Whether `operation` is missing. A broker before 2.3 lists no operations and forbids none."""
    return bool(operations) and operation not in operations
