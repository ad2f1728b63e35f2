"""Every problem that `run` would meet, found before it joins a group: files, package, fields, port, broker.

The settings themselves are checked in `config`; what the broker is asked, and how, is in `kafka.topics`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from errno import EADDRINUSE
from pathlib import Path

from stream_infer.app import schema_registry
from stream_infer.app.checks import desired
from stream_infer.app.checks.broker import check_broker
from stream_infer.app.checks.desired import Findings
from stream_infer.app.label_format import label_format
from stream_infer.app.topics import companion_topics
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, SchemaRefused, leaves, parse_schema
from stream_infer.config import input_schemas
from stream_infer.config.problems import nearest
from stream_infer.config.sections import HttpSection
from stream_infer.config.settings import Settings, SettingsResult
from stream_infer.flow.errors import BrokerUnreachable, Misconfigured, Problem, Refused
from stream_infer.kafka.admin_requests import ADMIN_TIMEOUT_S
from stream_infer.kafka.topics import TopicFacts, partition_counts
from stream_infer.models.load import load_model
from stream_infer.models.package import Verified, verify
from stream_infer.rollout.compatibility import Difference, assess_here
from stream_infer.steps.options import OnDifference
from stream_infer.steps.scoring.plan import Events, field_problems, plan_scoring

_PACKAGE_KEY = "model.package"
_EVENT_SCHEMA = "input.avsc"


@dataclass(frozen=True, slots=True)
class Checked:
    """Everything that `run` starts from. Its parts agree with each other.

    `package` is None where a store says which one serves: the deployer judges it, and may serve another.
    `warnings` are the differences of the package that are tolerated.
    `schema_ids` are those of the records that are written, by record name; none without a registry.
    `degraded` are problems that monitoring has, and scoring does without.
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
class CheckReport:
    """What a check found: what is right, what was left out, and problems by the exit code of their kind.

    `warned` is what stops nothing and should be known.
    """

    passed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    found: list[tuple[int, Problem]] = field(default_factory=list)
    package: Verified | None = None
    events: Events | None = None
    topics: TopicFacts | None = None
    schema_ids: Mapping[str, int] = field(default_factory=dict)
    beside: Sequence[Problem] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem, in the order of the file."""
        return tuple(problem for _, problem in self.found)

    @property
    def exit_code(self) -> int:
        """0 without problems; 3 or 4 when all of them are the package's or the broker's; else 2."""
        codes = {code for code, _ in self.found}
        return 0 if not codes else codes.pop() if len(codes) == 1 else Misconfigured.exit_code

    def add(self, problems: Iterable[Problem], code: int = Misconfigured.exit_code) -> None:
        """Take note of `problems`."""
        self.found += [(code, problem) for problem in problems]

    def merge(self, said: Findings) -> None:
        """Take note of what is `said` about a desired package."""
        self.passed += said.passed
        self.warned += said.warned
        self.skipped += said.skipped
        self.add(said.problems)


def require_checked(settings: Settings) -> Checked:
    """Return what `run` starts from, or raise `CheckFailed` with every problem. Joins no group.

    What stands against monitoring alone is no reason to stop: it is in `Checked.degraded`.
    """
    report = CheckReport()
    _check_files(settings, report)
    report.add(_port_problems(settings.http))
    _check_registry(settings, frozenset(), report)
    _check_broker(settings, frozenset(), ADMIN_TIMEOUT_S, report)
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

    With `package`, on that one in place of the one that the settings name. A key that holds a stand-in has
    had its problem reported: what follows from the stand-in is left out.
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
    _check_model(rest)
    rest.add(_port_problems(settings.http))
    _check_registry(settings, reading.unusable, rest)
    _check_broker(settings, reading.unusable, timeout_s, rest)
    if package is None:
        rest.merge(desired.desired_findings(settings, rest.events, answers=rest.topics is not None))
    rest.add(rest.beside)
    report.passed += rest.passed
    report.warned += rest.warned
    report.skipped += rest.skipped
    report.found += [(code, p) for code, p in rest.found if p.key not in reading.unusable]
    return report


def _agreed(settings: Settings, report: CheckReport) -> Checked:
    if report.found or report.topics is None or report.events is None:
        raise CheckFailed(report.problems, report.exit_code)
    return Checked(
        settings,
        report.package,
        report.topics,
        report.events,
        report.schema_ids,
        tuple(report.warned),
        report.beside,
    )


def _check_files(settings: Settings, report: CheckReport, instead: Path | None = None) -> None:
    """Check schema, package (or the one at `instead`), and the fields that features and settings name."""
    given, problems = input_schemas.read_input_schemas(settings.input)
    report.add(problems)
    path = instead or settings.model.package
    package = report.package = None if path is None else _package(path, report)
    if path is None:
        report.merge(desired.store_findings(settings))
    writers, reader = given, None if len(given) == 1 else _made_for(package)
    if settings.input.framing is Framing.CONFLUENT:  # the registry has the writers; given is the reader
        report.add(_without_reader(settings))
        writers, reader = [], given[0] if given else _made_for(package)
    known = [*writers, *([reader] if reader and not writers else [])]
    _check_labels(settings, report)
    if not known:
        return
    report.passed.append(f"events: {', '.join(schema.name for schema in known)}")
    event_time, copy = settings.input.event_time, settings.output.copy_fields
    events = report.events = Events(settings.input.framing, writers, reader, event_time, copy)
    report.add(dict.fromkeys(_fields(events, known, reader)))
    if package is not None:
        _judge(package, settings.model.on_difference, events, report)


def _check_labels(settings: Settings, report: CheckReport) -> None:
    """Check that labels have the fields that they are joined by."""
    if settings.labels.topic is None:
        return
    try:
        found = label_format(settings.labels)
    except Misconfigured as wrong:
        report.add(wrong.problems)
    else:
        report.passed.append(f"labels: {found.schema.name}, joined by {settings.labels.join}")


def _without_reader(settings: Settings) -> Iterator[Problem]:
    if settings.input.schema_path is None and settings.model.store is not None:
        message = "is required beside a model store: events are read as one schema, whichever model serves"
        yield Problem(input_schemas.KEY, "", message, "name the .avsc file that the models are made for")


def _check_model(report: CheckReport) -> None:
    """Load the model and plan for it, as `run` will. Nothing is loaded that was not verified and fits."""
    if report.package is None or any(problem.key == _PACKAGE_KEY for _, problem in report.found):
        return
    entry = Path(report.package.manifest.entry)
    try:
        model = load_model(report.package)
        if report.events is not None and not report.found:
            plan_scoring(model, report.events)
    except Refused as refused:
        report.add([_refused(entry, refused)], Refused.exit_code)
    else:
        report.passed.append(f"model: loads, {len(model.manifest.features)} features")


def _check_broker(
    settings: Settings, unusable: frozenset[str], timeout_s: float, report: CheckReport
) -> None:
    answers = check_broker(settings, unusable, timeout_s=timeout_s)
    report.add(answers.problems)
    report.add(answers.unreachable, BrokerUnreachable.exit_code)
    report.passed += answers.passed
    report.skipped += answers.skipped
    report.topics, report.beside = answers.facts, answers.beside


def _check_registry(settings: Settings, unusable: frozenset[str], report: CheckReport) -> None:
    features = report.package.manifest.features if report.package else ()
    events = report.events
    named = [*(events.copy if events else ()), *([events.event_time] if events and events.event_time else [])]
    reader = events.reader if events and not report.found else None
    paths = [*(feature.source for feature in features), *named]
    answers = schema_registry.check_registry(settings, unusable, reader, paths)
    report.add(answers.problems)
    report.add(answers.unreachable, BrokerUnreachable.exit_code)
    report.passed += answers.passed
    report.skipped += answers.skipped
    report.schema_ids = answers.ids


def _package(path: Path, report: CheckReport) -> Verified | None:
    if not path.exists():
        fix = "correct the path, or make the package with `stream-infer package create`"
        report.add([Problem(_PACKAGE_KEY, f'"{path}"', "there is no such file or folder", fix)])
        return None
    try:
        package = verify(path)
    except Refused as refused:
        report.add([_refused(path, refused)], Refused.exit_code)
        return None
    manifest = package.manifest
    report.passed.append(f"package: {manifest.name} {manifest.version}, {package.digest}")
    return package


def _refused(path: Path, refused: Refused) -> Problem:
    fix = "serve a package that `stream-infer package verify` accepts"
    return Problem(_PACKAGE_KEY, f'"{path}"', f"refused ({refused.code}): {refused.reason}", fix)


def _made_for(package: Verified | None) -> Schema | None:
    """Return the schema that the model was made for: events of several writers are read as that."""
    if package is None:
        return None
    try:
        return parse_schema(package.files[_EVENT_SCHEMA].decode())
    except (SchemaRefused, UnicodeDecodeError):
        return None


def _fields(events: Events, writers: Sequence[Schema], reader: Schema | None) -> Iterator[Problem]:
    """Yield what is wrong with event_time and copy in the events."""
    for schema in [reader] if reader else writers:
        yield from field_problems(events, leaves(schema), schema)


def _judge(package: Verified, policy: OnDifference, events: Events, report: CheckReport) -> None:
    """Take note of what the package was made for and is not here."""
    judgement = assess_here(package.manifest, events, policy)
    report.warned += [one.reason for one in judgement.warned]
    for one in judgement.refused:
        problem = Problem(_PACKAGE_KEY, package.manifest.name, one.reason, _fix(one, events))
        # A field that is not there may be the fault of the schema; a library never is.
        report.add([problem], Misconfigured.exit_code if one.source else Refused.exit_code)


def _fix(difference: Difference, events: Events) -> str:
    if difference.source is None:
        tolerated = 'set on_difference = "warn", or ' if difference.tolerable else ""
        return f"{tolerated}install what it was made with, or make the package anew with what is here"
    schemas_known = [*events.writers, *([events.reader] if events.reader else [])]
    known = {path for schema in schemas_known for path in leaves(schema)}
    match = None if difference.source in known else nearest(difference.source, known)
    hint = f"did you mean {match}? " if match else ""
    return f"{hint}Serve a package that was made for this schema, or correct input.schema"


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
