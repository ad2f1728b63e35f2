"""The schema registry of a pipeline: its subjects, the ids of the records that are written, registration.

A worker asks and never registers: `topics create` and `send` do. `kafka.confluent_registry` speaks to the
registry, `app.checks.registry` checks what it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from stream_infer.avro import topic_schemas
from stream_infer.avro.confluent import Unusable
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.config.schema_registry import RegistryProperties, missing
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import BrokerUnreachable, Misconfigured, Problem
from stream_infer.kafka.writer_schemas import RegistryUnavailable, SchemaRegistry

SECTION = "schema_registry"
_URL = f"{SECTION}.url"
_EXTRA = "pip install 'stream-infer-worker[registry]'"
_MONITORING_KEY = "monitoring.topic"


class RegistryUnreachable(Misconfigured):
    """No registry answered; like an unreachable broker, this may pass."""

    exit_code = BrokerUnreachable.exit_code


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject of the registry: its name, the key that names its topic, and the schema of the records."""

    name: str
    key: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class EventSchemaId:
    """The id of a schema of events under its subject, and whether it was registered just now."""

    subject: str
    number: int
    registered: bool


def connect_registry(properties: RegistryProperties) -> SchemaRegistry:
    """Return a client of the registry, without a request yet. Raises `Misconfigured`."""
    try:
        from stream_infer.kafka import confluent_registry  # noqa: PLC0415 - an extra, and half a second
    except ImportError as error:
        message = f"needs the extra `registry`: {error}"
        raise Misconfigured([Problem(SECTION, "", message, _EXTRA)]) from error
    try:
        return confluent_registry.connect_client(properties.plain())
    except (ValueError, TypeError, OSError) as error:
        fix = "correct the properties there"
        raise Misconfigured([Problem(SECTION, "", f"its client refuses it: {error}", fix)]) from error


@contextmanager
def open_registry(settings: Settings) -> Iterator[SchemaRegistry]:
    """Hold a connection for a few requests. Raises `Misconfigured` or `RegistryUnreachable`."""
    if settings.schema_registry is None:
        raise Misconfigured([missing("input.framing")])
    try:
        with closing(connect_registry(settings.schema_registry)) as registry:
            yield registry
    except RegistryUnavailable as silence:
        fix = f"start the registry, or correct address and credentials in [{SECTION}]"
        problem = Problem(_URL, f'"{settings.schema_registry.url}"', str(silence), fix)
        raise RegistryUnreachable([problem]) from silence


def subject_of(topic: str) -> str:
    """Return the subject of a topic's values (Confluent's TopicNameStrategy)."""
    return f"{topic}-value"


def registry_subjects(settings: Settings) -> Sequence[Subject]:
    """Return the subjects of the records that the pipeline writes; none without the Confluent framing."""
    if settings.output.framing is not Framing.CONFLUENT:
        return []
    prediction = topic_schemas.topic_schema("Prediction")
    subjects = [Subject(subject_of(settings.output.topic), "output.topic", prediction)]
    if settings.monitoring.topic is not None:
        event = topic_schemas.topic_schema("MonitoringEvent")
        subjects.append(Subject(subject_of(settings.monitoring.topic), _MONITORING_KEY, event))
    return subjects


def unregistered(subject: Subject) -> Problem:
    """Return the problem of a subject whose schema is not registered."""
    message = f"the registry does not have this version's {subject.schema.name} under this subject"
    return Problem(subject.key, f'"{subject.name}"', message, "register it with `stream-infer topics create`")


def monitoring_event_id(settings: Settings) -> int | None:
    """Return the id of monitoring events; None without the Confluent framing.

    Raises `Misconfigured` when their schema is not registered, and `RegistryUnreachable`.
    """
    for subject in registry_subjects(settings):
        if subject.key == _MONITORING_KEY:
            with open_registry(settings) as registry:
                number = registry.id_of(subject.name, subject.schema)
            if number is None:
                raise Misconfigured([unregistered(subject)])
            return number
    return None


def register_schemas(settings: Settings) -> Mapping[str, int]:
    """Register the schemas of the pipeline's records; return the ids by subject. Raises `Misconfigured`."""
    subjects = registry_subjects(settings)
    if settings.schema_registry is None or not subjects:
        return {}
    with open_registry(settings) as registry:
        return {one.name: registry.register(one.name, one.schema) for one in subjects}


def newest_event_schema(settings: Settings, topic: str) -> Schema | None:
    """Return the newest schema of the events in `topic`, None where there is none. Raises `Misconfigured`."""
    with open_registry(settings) as registry:
        newest = registry.latest(subject_of(topic))
    if isinstance(newest, Unusable):
        fix = "name the schema to write with: --schema FILE"
        raise Misconfigured([Problem("input.topics", f'"{topic}"', newest.reason, fix)])
    return newest


def event_schema_id(settings: Settings, topic: str, schema: Schema) -> EventSchemaId:
    """Return the id of `schema` among those of the events in `topic`; register it where it is not yet.

    Raises `Misconfigured`.
    """
    subject = subject_of(topic)
    with open_registry(settings) as registry:
        known = registry.id_of(subject, schema)
        if known is not None:
            return EventSchemaId(subject, known, registered=False)
        return EventSchemaId(subject, registry.register(subject, schema, own=False), registered=True)
