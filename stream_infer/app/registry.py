"""What the settings ask of the schema registry: who wrote the events, and under which ids we write.

A worker asks and never registers: that is for `topics create`. How a registry is asked is in
`kafka.registry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from stream_infer.avro import contract, resolve
from stream_infer.avro.confluent import Unusable
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.config.registry import RegistryProperties
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import BrokerUnreachable, Misconfigured, Problem
from stream_infer.kafka.writers import NoAnswer, SchemaRegistry, Writers

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
class Answers:
    """What came of asking: `ids` of our schemas by record name; `unreachable` when nobody answered."""

    ids: Mapping[str, int] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    unreachable: Sequence[Problem] = ()
    passed: Sequence[str] = ()
    skipped: Sequence[str] = ()


def connect(properties: RegistryProperties) -> SchemaRegistry:
    """Return the registry, not yet asked anything. Raises `Misconfigured`."""
    try:
        from stream_infer.kafka import registry  # noqa: PLC0415 - an extra, and half a second
    except ImportError as error:
        message = f"needs the extra `registry`: {error}"
        raise Misconfigured([Problem(_SECTION, "", message, _EXTRA)]) from error
    try:
        return registry.connect(properties.plain())
    except (ValueError, TypeError, OSError) as error:
        fix = "correct the properties there"
        raise Misconfigured([Problem(_SECTION, "", f"its client refuses it: {error}", fix)]) from error


@contextmanager
def writers(properties: RegistryProperties) -> Iterator[Writers]:
    """Hold what is known about writers. Raises `Misconfigured`."""
    with closing(connect(properties)) as connected:
        yield Writers(connected.writer)


def subjects(settings: Settings) -> Sequence[Subject]:
    """Return the subjects of the records that the pipeline writes; none without the Confluent framing."""
    if settings.output.framing is not Framing.CONFLUENT:
        return []
    named = [Subject(_subject(settings.output.topic), "output.topic", contract.schema("Prediction"))]
    if settings.monitoring.topic is not None:
        event = contract.schema("MonitoringEvent")
        named.append(Subject(_subject(settings.monitoring.topic), "monitoring.topic", event))
    return named


def ask(settings: Settings, unusable: frozenset[str], reader: Schema | None, paths: Sequence[str]) -> Answers:
    """Ask for the ids of what is written, and whether `paths` of `reader` are in the newest events.

    `unusable` are keys that hold stand-ins.
    """
    if settings.schema_registry is None or not _wanted(settings):
        return Answers()
    if any(key.startswith(_SECTION) for key in unusable):
        return Answers(
            skipped=[f"schema registry: not asked, because [{_SECTION}] has to be corrected first"]
        )
    try:
        with closing(connect(settings.schema_registry)) as registry:
            written = {s: registry.id_of(s.name, s.schema) for s in subjects(settings)}
            read = {t: registry.latest(_subject(t)) for t in _inputs(settings)}
    except Misconfigured as misconfigured:
        return Answers(problems=misconfigured.problems)
    except NoAnswer as silence:
        return Answers(unreachable=[_unreachable(settings.schema_registry, silence)])
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
    return Answers(ids, problems, passed=[] if problems else passed, skipped=skipped)


def register(settings: Settings) -> Mapping[str, int]:
    """Register what the pipeline writes; return the ids by subject. Raises `Misconfigured`."""
    wanted = subjects(settings)
    if settings.schema_registry is None or not wanted:
        return {}
    try:
        with closing(connect(settings.schema_registry)) as registry:
            return {s.name: registry.register(s.name, s.schema) for s in wanted}
    except NoAnswer as silence:
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
        planned = resolve.plan(path, writer.root, reader.root)
        if isinstance(planned, resolve.Incompatible):
            message = f"its newest schema in the registry cannot be read: {planned.reason}"
            yield Problem("input.topics", f'"{topic}"', message, fix)
            return


def _unregistered(subject: Subject) -> Problem:
    message = f"the registry does not have this version's {subject.schema.name} under this subject"
    return Problem(subject.key, f'"{subject.name}"', message, "register it with `stream-infer topics create`")


def _unreachable(properties: RegistryProperties, silence: NoAnswer) -> Problem:
    fix = f"start the registry, or correct address and credentials in [{_SECTION}]"
    return Problem(_URL, f'"{properties.url}"', str(silence), fix)
