"""Finds the properties that librdkafka refuses, by creating clients that connect to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, KafkaException, Producer

from stream_infer.kafka.client import (
    MASK,
    SILENT,
    Properties,
    Secret,
    Value,
    consumer,
    plain_values,
    producer,
)

# Left out of the trial: they would connect, start a broker or write log lines.
_CONNECTING = frozenset({"bootstrap.servers", "metadata.broker.list", "debug"})
# A client asks for its first token when it is created: the trial must not wait for that.
_ENDPOINT = "sasl.oauthbearer.token.endpoint.url"
_NOWHERE = "http://127.0.0.1:9/"


@dataclass(frozen=True, slots=True)
class InvalidProperty:
    """A property that librdkafka refuses: `scope` is "", "producer" or "consumer"; `name` may be empty."""

    scope: str
    name: str
    message: str
    unknown: bool = False


def invalid_properties(properties: Properties) -> list[InvalidProperty]:
    """Return every property that librdkafka refuses, without connecting to anything.

    Clients are created (0.5 ms each) without broker addresses. librdkafka names one fault at a time, so each
    property is tried alone first; faults of a combination (a mechanism without a user name) are found by
    trying all properties that passed.
    """
    found = [*_alone("", properties.common), *_alone("producer", properties.producer)]
    found += _alone("consumer", properties.consumer)
    return found or list(_together(properties))


def _alone(scope: str, values: Mapping[str, Value]) -> Iterator[InvalidProperty]:
    refusal = _producer_refusal if scope == "producer" else _consumer_refusal
    for name, value in values.items():
        message = refusal(plain_values({name: value}))
        # "Failed to create" speaks of combinations: a lone security.protocol lacks its mechanism.
        if message is not None and not message.startswith("Failed to create"):
            yield InvalidProperty(scope, name, _masked(message, value), message.startswith("No such"))


def _together(given: Properties) -> Iterator[InvalidProperty]:
    instead = {_ENDPOINT: _NOWHERE} if _ENDPOINT in given.common else {}
    properties = replace(given, common={**given.common, **instead}, token_provider=None)
    refusals = {
        "consumer": _consumer_refusal(
            consumer(properties, group_id="check", instance_id="check", client_id="check")
        ),
        "producer": _producer_refusal(producer(properties, transactional_id="check", client_id="check")),
    }
    secrets = [*properties.common.values(), *properties.producer.values(), *properties.consumer.values()]
    reasons: dict[str, str] = {}
    for scope, message in refusals.items():
        if message is not None:
            reasons.setdefault(_masked(message.partition(": ")[2] or message, *secrets), scope)
    for reason, scope in reasons.items():
        yield InvalidProperty(scope if getattr(properties, scope) else "", "", reason)


def _producer_refusal(values: Mapping[str, object]) -> str | None:
    return _refusal(Producer, values)


def _consumer_refusal(values: Mapping[str, object]) -> str | None:
    return _refusal(lambda settings: Consumer(settings).close(), {"group.id": "check", **values})


def _refusal(make: Callable[[dict[str, object]], object], values: Mapping[str, object]) -> str | None:
    offline = {name: value for name, value in values.items() if name not in _CONNECTING}
    try:
        make({**offline, "logger": SILENT})
    except KafkaException as error:
        return str(error.args[0].str()).strip()
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _masked(message: str, *values: Value) -> str:
    for secret in values:
        message = (
            message.replace(secret.text, MASK) if isinstance(secret, Secret) and secret.text else message
        )
    return message
