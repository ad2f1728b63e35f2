"""A schema registry through Confluent's own client.

The only importer of that client, whose dependencies are an extra and whose import takes half a second: this
module is imported inside functions only. A registry is not trusted: each schema passes the checks of
`avro.schemas`. "Does not exist" is an answer; every other failure is an outage (`RegistryUnavailable`), never
a fault of the data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar
from uuid import UUID

from confluent_kafka.schema_registry import (
    ConfigCompatibilityLevel,
    SchemaRegistryClient,
    SchemaRegistryError,
    ServerConfig,
)
from confluent_kafka.schema_registry import Schema as Registered
from confluent_kafka.schema_registry.common.schema_registry_client import Rule, RuleMode

from stream_infer.avro.confluent import GUID_MAGIC, MAX_ID, Unusable, Writer
from stream_infer.avro.references import inline_references
from stream_infer.avro.schemas import Schema, SchemaRefused, parse_schema, without_docs
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.kafka.bounded_http import bound_answers
from stream_infer.kafka.writer_schemas import RegistryUnavailable

COMPATIBILITY = ConfigCompatibilityLevel.FULL_TRANSITIVE
"""How the records of this project evolve: old and new readers read old and new data."""

_DEFAULTS: Mapping[str, str | float] = {"timeout": 5.0, "max.retries": 0}
_AVRO = "AVRO"
_NOT_FOUND, _NOT_THERE = 404, re.compile("404[0-9]{2}")
_MAX_SCHEMA_CHARACTERS = 2_000_000
_MAX_REFERENCES = 100
_READING = (RuleMode.READ, RuleMode.WRITEREAD)

Answer = TypeVar("Answer")


def connect_client(properties: Mapping[str, str | float | bool]) -> ConfluentRegistry:
    """Return the registry that `properties` of Confluent's client describe; asks nothing yet.

    Raises `ValueError`, `TypeError` or `OSError` for properties that the client refuses.
    """
    settings = {**_DEFAULTS, **properties}
    client = SchemaRegistryClient.new_client(settings)
    if (rest := getattr(client, "_rest_client", None)) is not None:  # the in-memory client has none
        # A server of tokens is asked through a client of its own.
        tokens = getattr(rest.bearer_field_provider, "client", None)
        for session in (rest.session, tokens):
            if session is not None:
                bound_answers(session, within_s=float(settings["timeout"]))
    return ConfluentRegistry(client)


class ConfluentRegistry:
    """A `writer_schemas.SchemaRegistry`. Any thread may call; each call may take the client's timeout."""

    def __init__(self, client: SchemaRegistryClient) -> None:
        self._client = client

    def close(self) -> None:
        self._client.close()

    def writer(self, head: bytes) -> Writer:
        found = self._by_head(head)
        if found is None:
            return Unusable(
                DeadLetterClass.UNKNOWN_SCHEMA, f"The registry has no schema for the {_described(head)}."
            )
        return self._admitted(found, _described(head))

    def latest(self, subject: str) -> Writer | None:
        found = _asked(lambda: self._client.get_latest_version(subject))
        return None if found is None else self._admitted(found.schema, f"subject {subject}")

    def id_of(self, subject: str, schema: Schema) -> int | None:
        # Earlier releases registered their schemas without documentation.
        for text in (schema.text, without_docs(schema).text):
            found = _asked(partial(self._client.lookup_schema, subject, Registered(text, _AVRO), True))
            if found is not None:
                return _number(found.schema_id)
        return None

    def register(self, subject: str, schema: Schema, *, own: bool = True) -> int:
        if own and _asked(lambda: self._client.get_latest_version(subject)) is None:
            config = ServerConfig(compatibility=COMPATIBILITY)
            _asked(lambda: self._client.set_config(subject, config))
        made = _asked(lambda: self._client.register_schema(subject, Registered(schema.text, _AVRO), True))
        return _number(made)

    def _by_head(self, head: bytes) -> Registered | None:
        if head[0] == GUID_MAGIC:
            guid = str(UUID(bytes=head[1:]))
            return _asked(lambda: self._client.get_schema_by_guid(guid))
        schema_id = int.from_bytes(head[1:], "big")
        # No registry gives a larger one; asked for it, it would answer as if its interface were unknown.
        return _asked(lambda: self._client.get_schema(schema_id)) if schema_id <= MAX_ID else None

    def _admitted(self, found: Registered, what: str) -> Writer:
        try:
            return parse_schema(self._whole(found))
        except RegistryUnavailable:
            raise
        except Exception as refused:  # noqa: BLE001 - a schema that breaks the parser breaks it at each request
            kind = "" if isinstance(refused, SchemaRefused) else f"{type(refused).__name__}: "
            return Unusable(
                DeadLetterClass.SCHEMA_INCOMPATIBLE, f"The schema of {what} cannot be used: {kind}{refused}"
            )

    def _whole(self, found: Registered) -> str:
        """Return the text of a schema with its references inlined. Raises `SchemaRefused`."""
        if (found.schema_type or _AVRO) != _AVRO:
            raise SchemaRefused(f"It is of type {found.schema_type}, not Avro.")
        rule = _rule_for_readers(found)
        if rule is not None:
            raise SchemaRefused(f"It requires its readers to run the rule {rule!r}, which is not supported.")
        referred: dict[tuple[str, int], str] = {}
        self._refer(found, referred)
        return inline_references(_text(found), list(referred.values()))

    def _refer(self, found: Registered, referred: dict[tuple[str, int], str]) -> None:
        """Add the schemas that `found` refers to, directly or not, to `referred`."""
        for reference in found.references or ():
            subject, version = str(reference.subject), int(reference.version or 0)
            if (subject, version) in referred:
                continue
            other = _asked(lambda s=subject, v=version: self._client.get_version(s, v, True))  # type: ignore[misc]
            if other is None:
                raise SchemaRefused(f"It refers to version {version} of {subject}, which does not exist.")
            referred[subject, version] = _text(other.schema)
            if len(referred) > _MAX_REFERENCES:
                raise SchemaRefused(f"It refers to more than {_MAX_REFERENCES} other schemas.")
            self._refer(other.schema, referred)


def _asked(ask: Callable[[], Answer]) -> Answer | None:
    """Return the answer, or None for "does not exist". Raises `RegistryUnavailable`."""
    try:
        return ask()
    except SchemaRegistryError as error:
        # A registry answers 40401 and on for what it does not have; a plain 404 is a wrong path or a proxy.
        if error.http_status_code == _NOT_FOUND and _NOT_THERE.fullmatch(str(error.error_code)):
            return None
        raise RegistryUnavailable(f"the schema registry answered {error}") from error
    except Exception as error:  # HTTP, TLS, JSON, OAuth: no answer in any case
        raise RegistryUnavailable(
            f"the schema registry is unreachable: {type(error).__name__}: {error}"
        ) from error


def _text(found: Registered) -> str:
    text = found.schema_str
    if not isinstance(text, str):
        raise RegistryUnavailable("the schema registry answered without a schema")
    if len(text) > _MAX_SCHEMA_CHARACTERS:
        raise SchemaRefused(f"It is longer than {_MAX_SCHEMA_CHARACTERS} characters.")
    return text


def _number(schema_id: object) -> int:
    if not isinstance(schema_id, int):
        raise RegistryUnavailable("the schema registry answered without an id")
    return schema_id


def _rule_for_readers(found: Registered) -> str | None:
    """Return the name of a rule that readers must run, for example for encrypted values."""
    rules = found.rule_set
    if rules is None:
        return None
    listed: list[Rule] = [*(rules.domain_rules or ()), *(rules.encoding_rules or ())]
    return next((str(rule.name) for rule in listed if rule.mode in _READING and not rule.disabled), None)


def _described(head: bytes) -> str:
    if head[0] == GUID_MAGIC:
        return f"GUID {UUID(bytes=head[1:])}"
    return f"id {int.from_bytes(head[1:], 'big')}"
