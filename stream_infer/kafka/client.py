"""The librdkafka properties of each client: the user's, the worker's own, and secrets that do not print.

`config` reads them from a file; `kafka.topics` describes and creates topics.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError

from stream_infer.flow.events import ClientFailed
from stream_infer.flow.ports import Observer
from stream_infer.kafka.token_provider import TokenProvider

MASK = "***"

# The log of clients that only send requests: their problems come back as errors.
SILENT = logging.getLogger("stream_infer.kafka.check")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False

# A property is refused in the file when a wrong value would break a guarantee, not when it is merely unwise.
OWNED: Mapping[str, str] = {
    "enable.auto.commit": "offsets move only together with the predictions of their records",
    "enable.auto.offset.store": "offsets move only together with the predictions of their records",
    "auto.offset.reset": "nothing may be skipped silently; see input.start and input.on_lost_offset",
    "enable.partition.eof": "the worker commits past the markers at the end of a partition",
    "group.id": "it is derived from `pipeline`, so that all workers of a pipeline share one group",
    "isolation.level": "the worker must not score records of transactions that were aborted",
    "transactional.id": "it is derived from `pipeline` and worker.slot; a stable one fences a lost worker",
    "enable.idempotence": "without it a retry writes a prediction twice",
    "acks": "a prediction counts as written only when all in-sync replicas have it",
    "message.send.max.retries": "the producer retries until the transaction times out",
    "retries": "the producer retries until the transaction times out",
    "log.connection.close": "a commit whose connection was closed cannot be trusted, and only the log tells",
    "log_level": "the worker reads the client's own log lines to learn that a commit is in doubt",
    "log.queue": "the worker reads the client's own log lines to learn that a commit is in doubt",
    "partition.assignment.strategy": "the worker hands partitions over by the cooperative rules",
    "group.instance.id": "it is derived from worker.slot",
    "test.mock.num.brokers": "each client would start its own; `stream-infer demo` runs on a mock",
    "group.protocol": "the worker hands partitions over by the cooperative rules",
}

_SECRET = re.compile(
    r"pas+w|passphrase|secret|token$|credential|jaas|key\.pem|user[._]?info|oauthbearer\.config",
    re.IGNORECASE,
)

_CONSUMER_OWN: Mapping[str, str] = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": "true",
    # The session adds and takes away single partitions, which librdkafka allows under this strategy only.
    "partition.assignment.strategy": "cooperative-sticky",
}
_MAX_POLL_INTERVAL_MS = "300000"  # librdkafka's default
_BATCH_BYTES = "1000000"  # librdkafka's default
_ABOVE_RECORD_BYTES = 1_000
_PRODUCER_OWN: Mapping[str, str] = {"enable.idempotence": "true", "acks": "all"}
_SINGLE_RECORDS_OWN: Mapping[str, str] = {
    "acks": "all",
    "enable.idempotence": "false",
    "max.in.flight": "1",
    "metadata.recovery.strategy": "rebootstrap",  # it is never replaced
}


@dataclass(frozen=True, slots=True)
class ClientDefault:
    """A default of the worker that differs from librdkafka's, for one kind of client, and the reason."""

    scope: str
    name: str
    value: str
    reason: str


RECONNECT_BACKOFF_MS = "500"
DEFAULTS = (
    ClientDefault(
        "producer",
        "metadata.recovery.strategy",
        "none",
        "a producer that begins anew from its bootstrap servers keeps threads of the brokers that it had. "
        "They wake a thousand times a second. One without brokers is replaced",
    ),
    ClientDefault(
        "consumer",
        "fetch.queue.backoff.ms",
        "10",
        "at librdkafka's 1000 ms a full fetch queue that has been drained stalls for a second",
    ),
    ClientDefault(
        "consumer",
        "fetch.max.bytes",
        "8388608",
        "librdkafka decompresses a broker's whole answer at once; at its 50 MiB that can be gigabytes",
    ),
    ClientDefault(
        "consumer",
        "session.timeout.ms",
        "30000",
        "a broker that is silent for less causes no rebalance; the partitions of a worker that has died wait "
        "this long, unless its slot is taken again",
    ),
    ClientDefault(
        "consumer",
        "reconnect.backoff.ms",
        RECONNECT_BACKOFF_MS,
        "at librdkafka's 100 ms a consumer tries 20 connections a second while all brokers are away",
    ),
    ClientDefault("producer", "compression.type", "lz4", "the predictions of a batch repeat many texts"),
    ClientDefault(
        "producer", "linger.ms", "0", "each transaction waits for its last record, so that a delay adds up"
    ),
    # confluent-kafka-python #967
    ClientDefault(
        "producer",
        "retry.backoff.ms",
        "5",
        "at librdkafka's 100 ms a transaction waits that long for the one before",
    ),
    ClientDefault(
        "producer",
        "transaction.timeout.ms",
        "20000",
        "a batch that is not committed in this time is aborted and read again; the partitions of a worker "
        "that died in a transaction wait for it",
    ),
)


@dataclass(frozen=True, slots=True)
class Secret:
    """A text for a client only: it prints as `***`."""

    text: str = field(repr=False)

    def __str__(self) -> str:
        return MASK


Value = str | Secret


@dataclass(frozen=True, slots=True)
class Properties:
    """The user's librdkafka properties: for every client, for producers only, for consumers only.

    `token_provider` is what the clients call for tokens of SASL/OAUTHBEARER.
    """

    common: Mapping[str, Value]
    producer: Mapping[str, Value] = field(default_factory=dict)
    consumer: Mapping[str, Value] = field(default_factory=dict)
    token_provider: TokenProvider | None = None

    @property
    def servers(self) -> str:
        """The broker addresses, as given."""
        return str(self.common.get("bootstrap.servers", ""))


def is_secret(name: str) -> bool:
    """Whether the value of a property of this name must never be printed."""
    return _SECRET.search(name) is not None


def admin(properties: Properties) -> dict[str, Any]:
    """Return the properties of an admin client."""
    return _client_values(properties, properties.common)


def consumer(properties: Properties, *, group_id: str, instance_id: str, client_id: str) -> dict[str, Any]:
    """Return the properties of a static group member that reads committed records.

    It commits nothing by itself. Under the `instance_id` of its slot a restarted worker gets its partitions
    back without a rebalance of the others.
    """
    return _client_values(
        properties,
        {
            **_defaults("consumer"),
            "client.id": client_id,
            **properties.common,
            **properties.consumer,
            **_CONSUMER_OWN,
            "group.id": group_id,
            "group.instance.id": instance_id,
        },
    )


def producer(properties: Properties, *, transactional_id: str | None, client_id: str) -> dict[str, Any]:
    """Return the properties of an idempotent producer; with a `transactional_id`, of a transactional one."""
    own = (
        _PRODUCER_OWN if transactional_id is None else {**_PRODUCER_OWN, "transactional.id": transactional_id}
    )
    return _producer(properties, client_id, own)


def single_record_producer(properties: Properties, *, client_id: str) -> dict[str, Any]:
    """Return the properties of a producer of single records, of which the newest one counts.

    A retry may write a record twice, never before an earlier one. An idempotent producer has to be allowed
    IDEMPOTENT_WRITE, since Kafka 2.8 WRITE on any topic; else it is broken for good, and the client raises
    that amid callbacks.
    """
    config = _producer(properties, client_id, _SINGLE_RECORDS_OWN)
    config.pop("enable.gapless.guarantee", None)  # it would ask for idempotence
    return config


def _producer(properties: Properties, client_id: str, own: Mapping[str, str]) -> dict[str, Any]:
    values = {
        **_defaults("producer"),
        "client.id": client_id,
        **properties.common,
        **properties.producer,
        **own,
    }
    return _client_values(properties, values)


def _client_values(properties: Properties, values: Mapping[str, Value]) -> dict[str, Any]:
    """Return `values` as a client takes them, and the source of its tokens. Raises `BrokerUnreachable`."""
    plain, provider = plain_values(values), properties.token_provider
    if provider is None:
        return dict(plain)
    provider.require_token(plain.get("sasl.oauthbearer.config", ""))
    return {**plain, "oauth_cb": provider}


def _defaults(scope: str) -> dict[str, str]:
    return {default.name: default.value for default in DEFAULTS if default.scope == scope}


def fitting(config: Mapping[str, Any], topic_limits: Iterable[int]) -> dict[str, Any]:
    """Return a producer's properties for topics with these `max.message.bytes`.

    A record of up to the topic's limit is accepted, though librdkafka's own limit is lower. No batch of
    records is larger than a topic allows: librdkafka does not split a batch that the broker refused.
    """
    limits = list(topic_limits)
    record = max(int(config.get("message.max.bytes", "0")), max(limits) + _ABOVE_RECORD_BYTES)
    batch = min(int(config.get("batch.size", _BATCH_BYTES)), min(limits) - min(limits) // 8)
    return {**config, "message.max.bytes": str(record), "batch.size": str(batch)}


def transaction_timeout_s(properties: Properties) -> float:
    """Return `transaction.timeout.ms` in seconds: the broker aborts a transaction that takes longer."""
    return int(producer(properties, transactional_id=None, client_id="")["transaction.timeout.ms"]) / 1000


def max_poll_interval_s(properties: Properties) -> float:
    """Return `max.poll.interval.ms` in seconds: a member that does not poll for longer leaves its group."""
    name = "max.poll.interval.ms"
    value = properties.consumer.get(name) or properties.common.get(name) or _MAX_POLL_INTERVAL_MS
    return int(str(value)) / 1000


def telling(config: Mapping[str, object], observe: Observer) -> dict[str, object]:
    """Return the properties with a callback that makes an event of each failure the client reports.

    The client calls it from the thread that polls it.
    """

    def tell(error: KafkaError) -> None:
        observe(ClientFailed(error.str()))

    return {**config, "error_cb": tell}


def plain_values(values: Mapping[str, Value]) -> dict[str, str]:
    """Return the values as a client takes them, secrets in clear text."""
    return {name: value.text if isinstance(value, Secret) else value for name, value in values.items()}
