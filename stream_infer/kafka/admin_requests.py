"""Requests to the broker that are bounded in time; silence is `BrokerUnreachable`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from enum import Enum
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka.client import SILENT, Properties, admin
from stream_infer.kafka.error_policy import error_of, is_unreachable

ADMIN_TIMEOUT_S = 10.0
_POLL_S = 0.05

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class AdminRequests:
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


def operation_names(operations: Sequence[Enum] | None) -> frozenset[str]:
    """Return the names of the rights that a description lists, for example READ."""
    return frozenset(operation.name for operation in operations or ())
