"""`[kafka]`: librdkafka's properties under dotted names. Secrets may come from files.

Properties that the worker sets itself are refused here; `kafka.client` asks librdkafka about all others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stream_infer.config import token_provider
from stream_infer.config.problems import HIDDEN, describe_error, nearest
from stream_infer.flow.errors import Problem
from stream_infer.kafka.client import MASK, OWNED, Properties, Secret, Value, is_secret
from stream_infer.kafka.property_check import InvalidProperty, invalid_properties
from stream_infer.kafka.token_provider import TokenProvider

SCOPES = ("", "producer", "consumer")
_SERVERS = "bootstrap.servers"
_OLD_SERVERS = "metadata.broker.list"

# For suggestions only: librdkafka decides which properties exist.
_COMMON_NAMES = """
allow.auto.create.topics batch.num.messages batch.size bootstrap.servers client.dns.lookup client.id
client.rack compression.level compression.type connections.max.idle.ms debug fetch.max.bytes
fetch.min.bytes fetch.queue.backoff.ms fetch.wait.max.ms heartbeat.interval.ms
linger.ms max.in.flight max.partition.fetch.bytes max.poll.interval.ms message.max.bytes
metadata.max.age.ms partitioner queue.buffering.max.kbytes queue.buffering.max.messages
queued.max.messages.kbytes queued.min.messages receive.message.max.bytes reconnect.backoff.max.ms
reconnect.backoff.ms request.timeout.ms retry.backoff.max.ms retry.backoff.ms sasl.mechanism
sasl.oauthbearer.client.id sasl.oauthbearer.client.secret sasl.oauthbearer.method sasl.password
sasl.username security.protocol session.timeout.ms socket.keepalive.enable socket.timeout.ms
ssl.ca.location ssl.certificate.location ssl.endpoint.identification.algorithm ssl.key.location
ssl.key.password ssl.keystore.location ssl.keystore.password statistics.interval.ms
transaction.timeout.ms
"""

# librdkafka ignores some of these silently, so they are refused here.
JAVA_PROPERTIES: Mapping[str, str] = {
    "sasl.jaas.config": "set sasl.username and sasl.password instead",
    "ssl.truststore.location": "set ssl.ca.location to a PEM file instead",
    "ssl.truststore.password": "set ssl.ca.location to a PEM file instead",
    "max.poll.records": "set worker.max_batch_records instead",
    "buffer.memory": "set queue.buffering.max.kbytes instead",
    "key.deserializer": "leave it out",
    "value.deserializer": "leave it out; see input.framing",
    "key.serializer": "leave it out",
    "value.serializer": "leave it out; see output.framing",
}

# `x = { file = "..." }` is a secret in a file, save where librdkafka itself has a property `x.file`.
_FILE_PROPERTIES = ("sasl.oauthbearer.assertion", "sasl.oauthbearer.assertion.private.key")


Scoped = dict[str, dict[str, object]]


@dataclass(slots=True)
class KafkaProperties:
    """The properties that can be used, and the problems of the others."""

    scopes: dict[str, dict[str, Value]] = field(default_factory=lambda: {s: {} for s in SCOPES})
    problems: list[Problem] = field(default_factory=list)
    token_provider: TokenProvider | None = None

    @property
    def properties(self) -> Properties:
        """The properties of the clients, by scope."""
        scopes = self.scopes
        return Properties(scopes[""], scopes["producer"], scopes["consumer"], self.token_provider)


def flatten_scopes(table: object) -> tuple[Scoped, list[Problem]]:
    """Return the properties of each scope under dotted names. The scope "" is for all clients."""
    scoped: Scoped = {scope: {} for scope in SCOPES}
    if not isinstance(table, Mapping):
        return scoped, [Problem("kafka", describe_error("kafka", table), "must be a table", "write [kafka]")]
    own = {name: value for name, value in table.items() if name not in SCOPES}
    problems: list[Problem] = []
    for scope, inner in (("", own), *((s, table.get(s, {})) for s in SCOPES if s)):
        if not isinstance(inner, Mapping):
            key = f"kafka.{scope}"
            problems.append(Problem(key, describe_error(key, inner), "must be a table", f"write [{key}]"))
            continue
        for name, value in leaf_properties(inner, ""):
            if name in scoped[scope]:
                key = _key(scope, name)
                problems.append(
                    Problem(key, describe_error(key, value), "is given twice", "keep one of the two")
                )
            scoped[scope][name] = value
    return scoped, problems


def leaf_properties(table: Mapping[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    """Yield the values of nested tables under dotted names; `{ file = ... }` is a value."""
    for name, value in table.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping) and not _is_file(dotted, value):
            yield from leaf_properties(value, f"{dotted}.")
        else:
            yield dotted, value


def _is_file(name: str, value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"file"} and name not in _FILE_PROPERTIES


def parse_properties(scoped: Scoped, folder: Path) -> KafkaProperties:
    """Return the checked properties. Paths of secret files are relative to `folder`."""
    parsed = KafkaProperties()
    provider = scoped[""].get(token_provider.NAME)
    for scope, inner in scoped.items():
        for name, value in inner.items():
            if not scope and name == token_provider.NAME:
                continue
            outcome = _value(_key(scope, name), name, value, folder)
            if isinstance(outcome, Problem):
                parsed.problems.append(outcome)
            else:
                parsed.scopes[scope][name] = outcome
    if not {_SERVERS, _OLD_SERVERS} & set(scoped[""]):
        fix = 'add it to [kafka], for example "bootstrap.servers" = "localhost:9092"'
        parsed.problems.append(Problem(f"kafka.{_SERVERS}", "", "is required", fix))
    if provider is not None:
        loaded = token_provider.load_provider(provider)
        if isinstance(loaded, Problem):
            parsed.problems.append(loaded)
        else:
            parsed.token_provider = loaded
    parsed.problems += token_provider.token_problems(parsed.scopes[""], provider)
    for bad in invalid_properties(parsed.properties):
        parsed.problems.append(_refused(parsed, bad))
        parsed.scopes[bad.scope].pop(bad.name, None)
    return parsed


def _value(key: str, name: str, value: object, folder: Path) -> Value | Problem:
    if name in {_SERVERS, _OLD_SERVERS} and "@" in str(value):  # refused here, before any client prints it
        fix = "write host:port only; credentials are sasl.username and sasl.password"
        return Problem(key, HIDDEN, "holds an @, as if with a name and a password before it", fix)
    if name in OWNED:
        return Problem(key, describe_error(key, value), f"is set by the worker: {OWNED[name]}", "remove it")
    if name in JAVA_PROPERTIES:
        fix = JAVA_PROPERTIES[name]
        return Problem(key, describe_error(key, value), "is a property of the Java client", fix)
    if name == _OLD_SERVERS:
        return Problem(key, describe_error(key, value), "is an old name", f"rename it to {_SERVERS}")
    if name == _SERVERS and key != f"kafka.{_SERVERS}":
        return Problem(
            key, describe_error(key, value), "must be the same for all clients", "move it to [kafka]"
        )
    if isinstance(value, Mapping):
        return from_file(key, value, folder)
    text = _text(value)
    if text is None:
        fix = f'for example "{name}" = "..."'
        return Problem(key, describe_error(key, value), "must be text, a number, true or false", fix)
    if not text.strip():
        return Problem(key, describe_error(key, value), "is empty", "write a value, or remove it")
    return Secret(text) if is_secret(name) else text


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return None


def from_file(key: str, value: Mapping[str, object], folder: Path) -> Value | Problem:
    """Return the secret in the file that `{ file = ... }` names."""
    path = value.get("file")
    fix = "write { file = PATH } with the path of a readable text file that holds the secret"
    if not isinstance(path, str) or set(value) != {"file"}:
        return Problem(key, HIDDEN, "must be text, a number, true, false or { file = ... }", fix)
    try:
        text = Path(folder, path).read_text("utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:  # a ValueError: bytes that are not UTF-8, or a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text, or not a path"
        # What is no file may be the secret itself, so it is not shown.
        return Problem(
            key, HIDDEN, f"a file of that name cannot be read in {folder.absolute()}: {reason}", fix
        )
    if not text:
        return Problem(key, f'{{ file = "{path}" }}', "the file is empty", fix)
    return Secret(text)


def _refused(parsed: KafkaProperties, bad: InvalidProperty) -> Problem:
    key = _key(bad.scope, bad.name)
    value = parsed.scopes[bad.scope].get(bad.name)
    if not bad.unknown:
        shown = MASK if isinstance(value, Secret) else describe_error(key, value)
        fix = "see CONFIGURATION.md of librdkafka for the accepted values"
        return Problem(key, shown, f"librdkafka refuses it: {bad.message}", fix)
    # The value of a misspelt name may be a password, so it is not shown.
    match = nearest(bad.name, (*_COMMON_NAMES.split(), *OWNED))
    fix = f"did you mean {match}?" if match else "remove it or correct its name"
    return Problem(key, HIDDEN, "is not a property of librdkafka", fix)


def _key(scope: str, name: str) -> str:
    return ".".join(part for part in ("kafka", scope, name) if part)
