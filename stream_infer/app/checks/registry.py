"""The check of the schema registry: the ids of what is written, and whether the newest events can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.app.checks.findings import Findings
from stream_infer.app.schema_registry import (
    SECTION,
    RegistryUnreachable,
    open_registry,
    registry_subjects,
    subject_of,
    unregistered,
)
from stream_infer.avro import resolve
from stream_infer.avro.confluent import Unusable
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import Misconfigured, Problem


@dataclass(frozen=True, slots=True)
class RegistryAnswer:
    """The findings, and the ids of the records that are written by record name."""

    findings: Findings
    schema_ids: Mapping[str, int] = field(default_factory=dict)


def check_registry(
    settings: Settings, unusable: frozenset[str], reader: Schema | None, paths: Sequence[str]
) -> RegistryAnswer:
    """Ask for the ids of what is written, and whether `paths` of `reader` are in the newest events.

    `unusable` are keys with stand-in values.
    """
    findings = Findings()
    framings = {settings.input.framing, settings.output.framing}
    if settings.schema_registry is None or Framing.CONFLUENT not in framings:
        return RegistryAnswer(findings)
    if any(key.startswith(SECTION) for key in unusable):
        findings.skipped.append(f"schema registry: not asked, because [{SECTION}] has to be corrected first")
        return RegistryAnswer(findings)
    inputs = settings.input.topics if settings.input.framing is Framing.CONFLUENT else ()
    try:
        with open_registry(settings) as registry:
            written = {one: registry.id_of(one.name, one.schema) for one in registry_subjects(settings)}
            newest = {topic: registry.latest(subject_of(topic)) for topic in inputs}
    except RegistryUnreachable as unreachable:
        findings.add(unreachable.problems, RegistryUnreachable.exit_code)
        return RegistryAnswer(findings)
    except Misconfigured as misconfigured:
        findings.add(misconfigured.problems)
        return RegistryAnswer(findings)
    findings.add(unregistered(subject) for subject, number in written.items() if number is None)
    for topic, writer in newest.items():
        findings.add(_unreadable(topic, writer, reader, paths))
    if not findings.found:
        listed = "".join(f", {subject.name} ({number})" for subject, number in written.items())
        findings.passed.append(f"schema registry: {settings.schema_registry.url}{listed}")
    findings.skipped += [
        f"schema of {topic}: the registry has no subject {subject_of(topic)}; each id is looked up once"
        for topic, writer in newest.items()
        if writer is None
    ]
    known = {one.schema.name: number for one, number in written.items() if number is not None}
    return RegistryAnswer(findings, {name.rpartition(".")[2]: number for name, number in known.items()})


def _unreadable(
    topic: str, writer: Schema | Unusable | None, reader: Schema | None, paths: Sequence[str]
) -> Iterator[Problem]:
    """Yield why events of the newest schema of `topic` cannot be read."""
    fix = "serve a package that was made for this schema, or let the producers go back to the previous schema"
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
