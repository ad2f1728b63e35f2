"""What the settings ask of the schema registry: who wrote the events, and under which ids we write.

A worker asks and never registers: that is for `topics create`. How a registry is asked is in
`kafka.confluent_registry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from stream_infer.avro import resolve, topic_schemas
from stream_infer.avro.confluent import Unusable
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.config.schema_registry import RegistryProperties, missing
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import BrokerUnreachable, Misconfigured, Problem
from stream_infer.kafka.writer_schemas import RegistryUnavailable, SchemaRegistry

_SECTION = "schema_registry"
_URL = f"{_SECTION}.url"
_EXTRA = "pip install 'stream-infer-worker[registry]'"


class RegistryUnreachable(Misconfigured):
    """No registry answered; like a broker that does not, this may pass."""

    exit_code = BrokerUnreachable.exit_code


@dataclass(frozen=True, slots=True)
class Subject:
    """What a topic of ours is registered as: the key that names the topic, and the record's schema."""

    name: str
    key: str
    schema: Schema


@dataclass(frozen=True, slots=True)
class EventSchemaId:
    """The id of a schema of events under its subject, and whether it was registered just now."""

    subject: str
    number: int
    registered: bool


@dataclass(frozen=True, slots=True)
class RegistryFindings:
    """What came of asking: `ids` of our schemas by record name; `unreachable` when nobody answered."""

    ids: Mapping[str, int] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    unreachable: Sequence[Problem] = ()
    passed: Sequence[str] = ()
    skipped: Sequence[str] = ()


def connect_registry(properties: RegistryProperties) -> SchemaRegistry:
    """Return the registry, not yet asked anything. Raises `Misconfigured`."""
    try:
        from stream_infer.kafka import confluent_registry  # noqa: PLC0415 - an extra, and half a second
    except ImportError as error:
        message = f"needs the extra `registry`: {error}"
        raise Misconfigured([Problem(_SECTION, "", message, _EXTRA)]) from error
    try:
        return confluent_registry.connect_client(properties.plain())
    except (ValueError, TypeError, OSError) as error:
        fix = "correct the properties there"
        raise Misconfigured([Problem(_SECTION, "", f"its client refuses it: {error}", fix)]) from error


def registry_subjects(settings: Settings) -> Sequence[Subject]:
    """Return the subjects of the records that the pipeline writes; none without the Confluent framing."""
    if settings.output.framing is not Framing.CONFLUENT:
        return []
    named = [
        Subject(_subject(settings.output.topic), "output.topic", topic_schemas.topic_schema("Prediction"))
    ]
    if settings.monitoring.topic is not None:
        event = topic_schemas.topic_schema("MonitoringEvent")
        named.append(Subject(_subject(settings.monitoring.topic), "monitoring.topic", event))
    return named


def check_registry(
    settings: Settings, unusable: frozenset[str], reader: Schema | None, paths: Sequence[str]
) -> RegistryFindings:
    """Ask for the ids of what is written, and whether `paths` of `reader` are in the newest events.

    `unusable` are keys that hold stand-ins.
    """
    if settings.schema_registry is None or not _wanted(settings):
        return RegistryFindings()
    if any(key.startswith(_SECTION) for key in unusable):
        return RegistryFindings(
            skipped=[f"schema registry: not asked, because [{_SECTION}] has to be corrected first"]
        )
    try:
        with closing(connect_registry(settings.schema_registry)) as registry:
            written = {s: registry.id_of(s.name, s.schema) for s in registry_subjects(settings)}
            read = {t: registry.latest(_subject(t)) for t in _inputs(settings)}
    except Misconfigured as misconfigured:
        return RegistryFindings(problems=misconfigured.problems)
    except RegistryUnavailable as silence:
        return RegistryFindings(unreachable=[_unreachable(settings.schema_registry, silence)])
    ids = {s.schema.name.rpartition(".")[2]: number for s, number in written.items() if number is not None}
    missing = [_unregistered(s) for s, number in written.items() if number is None]
    unreadable = [p for t, w in read.items() for p in _unreadable(t, w, reader, paths)]
    skipped = [
        f"schema of {topic}: the registry has no subject {_subject(topic)}; each is looked up as it comes"
        for topic, writer in read.items()
        if writer is None
    ]
    listed = ", ".join(f"{s.name} ({number})" for s, number in written.items())
    passed = [f"schema registry: {settings.schema_registry.url}{f', {listed}' if listed else ''}"]
    problems = [*missing, *unreadable]
    return RegistryFindings(ids, problems, passed=[] if problems else passed, skipped=skipped)


def register_schemas(settings: Settings) -> Mapping[str, int]:
    """Register what the pipeline writes; return the ids by subject. Raises `Misconfigured`."""
    wanted = registry_subjects(settings)
    if settings.schema_registry is None or not wanted:
        return {}
    try:
        with closing(connect_registry(settings.schema_registry)) as registry:
            return {s.name: registry.register(s.name, s.schema) for s in wanted}
    except RegistryUnavailable as silence:
        raise RegistryUnreachable([_unreachable(settings.schema_registry, silence)]) from silence


def newest_event_schema(settings: Settings, topic: str) -> Schema | None:
    """Return the newest schema of the events in `topic`, None where there is none. Raises `Misconfigured`."""
    with _asked(settings) as registry:
        newest = registry.latest(_subject(topic))
    if isinstance(newest, Unusable):
        fix = "name the schema to write with: --schema FILE"
        raise Misconfigured([Problem("input.topics", f'"{topic}"', newest.reason, fix)])
    return newest


def event_schema_id(settings: Settings, topic: str, schema: Schema) -> EventSchemaId:
    """Return the id of `schema` among those of the events in `topic`; register it where it is not yet.

    Raises `Misconfigured`.
    """
    subject = _subject(topic)
    with _asked(settings) as registry:
        known = registry.id_of(subject, schema)
        if known is not None:
            return EventSchemaId(subject, known, registered=False)
        return EventSchemaId(subject, registry.register(subject, schema, own=False), registered=True)


@contextmanager
def _asked(settings: Settings) -> Iterator[SchemaRegistry]:
    """Hold the registry for a few questions. Raises `Misconfigured`."""
    if settings.schema_registry is None:
        raise Misconfigured([missing("input.framing")])
    try:
        with closing(connect_registry(settings.schema_registry)) as registry:
            yield registry
    except RegistryUnavailable as silence:
        raise RegistryUnreachable([_unreachable(settings.schema_registry, silence)]) from silence


def _wanted(settings: Settings) -> bool:
    return Framing.CONFLUENT in {settings.input.framing, settings.output.framing}


def _inputs(settings: Settings) -> Sequence[str]:
    return settings.input.topics if settings.input.framing is Framing.CONFLUENT else ()


def _subject(topic: str) -> str:
    return f"{topic}-value"


def _unreadable(
    topic: str, writer: Schema | Unusable | None, reader: Schema | None, paths: Sequence[str]
) -> Iterator[Problem]:
    """Yield why events of the newest schema of `topic` could not be read."""
    fix = "serve a package that was made for this schema, or have the producers go back to the one before"
    if isinstance(writer, Unusable):
        yield Problem("input.topics", f'"{topic}"', writer.reason, fix)
    if not isinstance(writer, Schema) or reader is None:
        return
    for path in paths:
        planned = resolve.resolve_path(path, writer.root, reader.root)
        if isinstance(planned, resolve.Incompatible):
            message = f"its newest schema in the registry cannot be read: {planned.reason}"
            yield Problem("input.topics", f'"{topic}"', message, fix)
            return


def _unregistered(subject: Subject) -> Problem:
    message = f"the registry does not have this version's {subject.schema.name} under this subject"
    return Problem(subject.key, f'"{subject.name}"', message, "register it with `stream-infer topics create`")


def _unreachable(properties: RegistryProperties, silence: RegistryUnavailable) -> Problem:
    fix = f"start the registry, or correct address and credentials in [{_SECTION}]"
    return Problem(_URL, f'"{properties.url}"', str(silence), fix)
