"""The check before a worker joins a group: files, package, fields, port, registry, broker.

`config` checks the settings themselves.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from errno import EADDRINUSE
from pathlib import Path

from stream_infer.app.checks.broker import check_broker, group_ids
from stream_infer.app.checks.coordination import transactional_id_findings
from stream_infer.app.checks.desired import desired_findings, store_findings
from stream_infer.app.checks.findings import Findings
from stream_infer.app.checks.group import group_findings
from stream_infer.app.checks.limits import limit_problems
from stream_infer.app.checks.package import check_compatibility, check_model, check_package_bytes, made_for
from stream_infer.app.checks.registry import check_registry
from stream_infer.app.label_format import class_problem, label_format
from stream_infer.app.topics import companion_topics
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import leaves
from stream_infer.config import input_schemas
from stream_infer.config.sections import HttpSection
from stream_infer.config.settings import Settings, SettingsResult
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka.admin_requests import ADMIN_TIMEOUT_S
from stream_infer.kafka.topics import TopicFacts, partition_counts
from stream_infer.models.package import Verified
from stream_infer.steps.scoring.plan import Events, field_problems


@dataclass(frozen=True, slots=True)
class Checked:
    """Everything that `run` starts from; the parts agree with each other.

    `package` is None with a model store: the deployer loads the desired one. `schema_ids` are those of the
    output records, by record name; none without a registry. `warnings` are the tolerated differences of the
    package. `degraded` are problems that only monitoring has.
    """

    settings: Settings
    package: Verified | None
    topics: TopicFacts
    events: Events
    schema_ids: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    degraded: Sequence[Problem] = ()


class CheckFailed(Misconfigured):
    """The problems of a check, and the exit code that they share: 2 when they are of several kinds."""

    def __init__(self, problems: Sequence[Problem], exit_code: int) -> None:
        super().__init__(problems)
        self.exit_code = exit_code


@dataclass(slots=True)
class CheckReport(Findings):
    """The findings of a whole check, and the facts that a worker starts from, as far as they are known.

    `monitoring` are problems that only monitoring has; `unplaced` are those of input partitions that wait
    while the others are scored.
    """

    package: Verified | None = None
    events: Events | None = None
    topics: TopicFacts | None = None
    schema_ids: Mapping[str, int] = field(default_factory=dict)
    monitoring: Sequence[Problem] = ()
    unplaced: Sequence[Problem] = ()


def require_checked(settings: Settings) -> Checked:
    """Return what `run` starts from, or raise `CheckFailed` with every problem. Joins no group.

    Problems that only monitoring has stop nothing: they are in `Checked.degraded`.
    """
    report = CheckReport()
    _check_files(settings, report)
    report.add(_port_problems(settings.http))
    _check_registry(settings, frozenset(), report)
    _check_broker(settings, frozenset(), ADMIN_TIMEOUT_S, report)
    return _agreed(settings, report)


def require_servable(settings: Settings) -> Checked:
    """Return what `serve` starts from: files, package and registry. It asks no broker: answers need none."""
    report = CheckReport()
    _check_files(settings, report)
    _check_registry(settings, frozenset(), report)
    report.topics = TopicFacts({}, {})
    return _agreed(settings, report)


def require_checked_on_mock(settings: Settings) -> Checked:
    """Do the same on librdkafka's mock cluster, which cannot be asked about topics and makes them instead."""
    report = CheckReport()
    _check_files(settings, report)
    names = [*settings.input.topics, settings.output.topic, settings.dlq.topic]
    names += [topic.name for _, topic in companion_topics(settings)]
    names += [settings.labels.topic] if settings.labels.topic is not None else []
    report.topics = partition_counts(settings.kafka, names)
    return _agreed(settings, report)


def run_checks(
    reading: SettingsResult, *, package: Path | None = None, timeout_s: float = ADMIN_TIMEOUT_S
) -> CheckReport:
    """Return the whole report on a configuration, wrong settings included; also loads the model.

    `package` takes the place of the one in the settings. A problem of a key with a stand-in value is left
    out: the wrong value itself is reported.
    """
    report = CheckReport()
    report.add(reading.problems)
    settings = reading.settings
    if settings is None:
        return report
    if not reading.problems:
        report.passed.append(f"settings: pipeline {settings.pipeline}, slot {settings.worker.slot}")
    rest = CheckReport()
    _check_files(settings, rest, package)
    if rest.package is not None:
        check_model(rest.package, rest.events, rest)
    rest.add(_port_problems(settings.http))
    _check_registry(settings, reading.unusable, rest)
    _check_broker(settings, reading.unusable, timeout_s, rest)
    if rest.topics is not None:  # the broker answers, and knows the groups' coordinators
        rest.merge(transactional_id_findings(settings, timeout_s=timeout_s))
    if rest.topics is not None:
        rest.merge(group_findings(settings.kafka, group_ids(settings), timeout_s=timeout_s))
    if package is None:
        rest.merge(desired_findings(settings, rest.events, broker_answers=rest.topics is not None))
    rest.add([*rest.unplaced, *rest.monitoring])
    rest.found = [(code, problem) for code, problem in rest.found if problem.key not in reading.unusable]
    report.merge(rest)
    return report


def _agreed(settings: Settings, report: CheckReport) -> Checked:
    if report.found or report.topics is None or report.events is None:
        raise CheckFailed([*report.problems, *report.unplaced], report.exit_code)
    return Checked(
        settings,
        report.package,
        report.topics,
        report.events,
        report.schema_ids,
        tuple(report.warned),
        report.monitoring,
    )


def _check_files(settings: Settings, report: CheckReport, instead: Path | None = None) -> None:
    """Check schema, package (or the one at `instead`), and the fields that features and settings name."""
    given, problems = input_schemas.read_input_schemas(settings.input)
    report.add(problems)
    path = instead or settings.model.package
    package = report.package = (
        None if path is None else check_package_bytes(path, settings.model.pickles, report)
    )
    if path is None:
        report.merge(store_findings(settings))
    writers, reader = given, None if len(given) == 1 else made_for(package)
    if settings.input.framing is Framing.CONFLUENT:  # the registry has the writers; given is the reader
        report.add(_without_reader(settings))
        writers, reader = [], given[0] if given else made_for(package)
    known = [*writers, *([reader] if reader and not writers else [])]
    _check_labels(settings, report)
    if not known:
        return
    report.passed.append(f"events: {', '.join(schema.name for schema in known)}")
    event_time, copy = settings.input.event_time, settings.output.copy_fields
    events = report.events = Events(settings.input.framing, writers, reader, event_time, copy)
    readers = [reader] if reader else known
    report.add(dict.fromkeys(p for schema in readers for p in field_problems(events, leaves(schema), schema)))
    if package is not None:
        check_compatibility(package, settings.model.on_difference, events, report)
        if settings.monitoring.topic is not None:
            report.add(list(limit_problems(settings.limits, package)))


def _check_labels(settings: Settings, report: CheckReport) -> None:
    """Check that labels have the fields that they are joined by, and can be answers of the model."""
    if settings.labels.topic is None:
        return
    try:
        found = label_format(settings.labels)
    except Misconfigured as wrong:
        report.add(wrong.problems)
        return
    output = report.package.manifest.output if report.package else None
    unfit = class_problem(found, output) if output else None
    if unfit is not None:
        report.add([unfit])
    else:
        report.passed.append(f"labels: {found.schema.name}, joined by {settings.labels.join}")


def _check_broker(
    settings: Settings, unusable: frozenset[str], timeout_s: float, report: CheckReport
) -> None:
    answer = check_broker(settings, unusable, timeout_s=timeout_s)
    report.merge(answer.findings)
    report.topics, report.unplaced, report.monitoring = answer.topics, answer.unplaced, answer.monitoring


def _check_registry(settings: Settings, unusable: frozenset[str], report: CheckReport) -> None:
    features = report.package.manifest.features if report.package else ()
    events = report.events
    named = [*(events.copy if events else ()), *([events.event_time] if events and events.event_time else [])]
    reader = events.reader if events and not report.found else None
    paths = [*(feature.source for feature in features), *named]
    answer = check_registry(settings, unusable, reader, paths)
    report.merge(answer.findings)
    report.schema_ids = answer.schema_ids


def _without_reader(settings: Settings) -> Iterator[Problem]:
    if settings.input.schema_path is None and settings.model.store is not None:
        message = "is required beside a model store: events are read as one schema, whichever model serves"
        yield Problem(input_schemas.KEY, "", message, "name the .avsc file that the models are made for")


def _port_problems(settings: HttpSection) -> Iterator[Problem]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with closing(socket.create_server((settings.host, settings.port), family=family)):
            return
    except OSError as error:
        if error.errno == EADDRINUSE:
            fix = "choose another port, or 0 for any free one"
            yield Problem("http.port", str(settings.port), "is in use on this machine", fix)
        else:
            reason = error.strerror or str(error)
            fix = "use 127.0.0.1, 0.0.0.0 or an address of this machine"
            yield Problem("http.host", f'"{settings.host}"', f"cannot be listened on: {reason}", fix)
