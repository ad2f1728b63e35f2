"""worker.toml and the environment, read into one frozen `Settings`, with every problem at once.

Nothing here looks at schemas, packages or brokers: that is `app.checks.check`. Why this is not
pydantic-settings is in decision 1.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field, InstanceOf, ValidationError

from stream_infer.avro.framing import Framing
from stream_infer.config import defaults, environment, properties, schema_registry
from stream_infer.config.limits_section import LABEL_METRICS, LimitsSection
from stream_infer.config.monitoring_sections import LabelsSection, MonitoringSection
from stream_infer.config.problems import from_validation, key_of, place_of
from stream_infer.config.reference import settings_of
from stream_infer.config.schema_registry import RegistryProperties
from stream_infer.config.sections import (
    DeadLetterSection,
    DeliverySection,
    HttpSection,
    InputSection,
    ModelSection,
    OutputSection,
    Section,
    WorkerSection,
)
from stream_infer.config.values import Pipeline
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka.client import Properties

LIMITS = "monitoring.limits"
"""The one section within a section."""
_ROLE = "score"


class Settings(Section):
    """The settings of worker.toml and the environment, checked, with absolute paths."""

    pipeline: Pipeline = Field(
        description="Name of the pipeline. Topics, consumer groups and transactional ids are named after it.",
        examples=["payments.fraud"],
    )
    kafka: InstanceOf[Properties] = Field(
        description="Properties of librdkafka for the consumer and the producers, passed on under their own "
        "names."
    )
    input: InputSection = Field(description="Events: where they come from and how they are read.")
    output: OutputSection = Field(description="Predictions: where they go and what they carry.")
    dlq: DeadLetterSection = Field(description="Dead letters: where events go that cannot be scored.")
    monitoring: MonitoringSection = Field(
        description="Monitoring: where its events go, and how often they may be wrong."
    )
    limits: LimitsSection = Field(
        default_factory=LimitsSection,
        alias="monitoring.limits",
        description="Limits of the monitor, in absolute terms.",
    )
    labels: LabelsSection = Field(description="Labels: where they come from and how they are joined.")
    model: ModelSection = Field(description="Model packages: which one serves, and what it may take.")
    schema_registry: InstanceOf[RegistryProperties] | None = Field(
        default=None,
        description="Properties of Confluent's schema registry client, under their own names. Only for "
        '`framing = "confluent"`.',
    )
    delivery: DeliverySection = Field(
        default_factory=DeliverySection, description="Delivery: what is promised when a worker dies."
    )
    worker: WorkerSection = Field(
        default_factory=WorkerSection, description="Worker: its identity, and the size of its batches."
    )
    http: HttpSection = Field(
        default_factory=HttpSection, description="HTTP: where probes and metrics answer."
    )

    @property
    def group_id(self) -> str:
        """The consumer group that all workers of the pipeline share."""
        return f"{self.pipeline}.{_ROLE}"

    @property
    def monitor_group_id(self) -> str:
        """The consumer group of the monitors of the pipeline."""
        return f"{self.pipeline}.monitor"


SETTINGS = tuple(settings_of(Settings))
"""Every setting but the properties of `[kafka]` and `[schema_registry]`."""
_EXAMPLES = {setting.key: setting.example for setting in SETTINGS}
_TAKES_LIST = {setting.key: setting.takes_list for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class SettingsResult:
    """The settings, every problem, and the keys that hold stand-ins because their values are wrong.

    With stand-ins a check can go on and report the problems of other kinds too. `settings` is None when the
    file cannot be read.
    """

    settings: Settings | None
    problems: tuple[Problem, ...]
    unusable: frozenset[str] = frozenset()


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings in the TOML file at `path`, overlaid by `STREAM_INFER_*__*` of `environ`.

    Raises `Misconfigured` with every problem.
    """
    reading = read_settings(path, environ)
    if reading.problems or reading.settings is None:
        raise Misconfigured(reading.problems)
    return reading.settings


def read_settings(path: Path, environ: Mapping[str, str]) -> SettingsResult:
    """Read the same as `load_settings`; return the problems beside the settings."""
    document, unreadable = _document(path)
    if unreadable is not None:
        return SettingsResult(None, (unreadable,))
    return parse_settings(document, environ, folder=path.parent)


def parse_settings(
    document: Mapping[str, object], environ: Mapping[str, str], *, folder: Path
) -> SettingsResult:
    """Return the settings of `document` and `environ`; paths in them are relative to `folder`.

    1. Lay the environment over the document.
    2. Turn `[kafka]` and `[schema_registry]` into properties; add the defaults that follow from other keys.
    3. Validate. Where that fails, replace wrong values by stand-ins and validate again.
    4. Check what several settings must agree on.
    """
    overlay = environment.read_environment(environ, _TAKES_LIST)
    below, kafka_problems = properties.flatten_scopes(document.get("kafka", {}))
    above, _ = properties.flatten_scopes(overlay.document.pop("kafka", {}))
    kafka = properties.parse_properties({scope: {**below[scope], **above[scope]} for scope in below}, folder)
    registered, registry_problems = _registry(document, overlay.document, folder)
    problems = [*overlay.problems, *kafka_problems, *kafka.problems, *registry_problems]
    merged = {
        **_merged(_without_nesting(document), overlay.document),
        "kafka": kafka.properties,
        schema_registry.SECTION: registered,
    }

    context = {"folder": str(folder.absolute())}
    unusable = {problem.key for problem in problems}
    try:
        settings = Settings.model_validate(defaults.with_defaults(merged, SETTINGS), context=context)
    except ValidationError as error:
        found = [p for p in from_validation(error, _keys(), _EXAMPLES) if p.key not in unusable]
        caused = defaults.consequences((p.key for p in found), merged, SETTINGS)
        problems += [p for p in found if p.key not in caused]
        wrong = {place_of(details) for details in error.errors()}
        keys = {key_of(place) for place in wrong}
        unusable |= keys | defaults.consequences(keys, merged, SETTINGS)
        usable = defaults.with_defaults(defaults.with_stand_ins(merged, wrong), SETTINGS)
        settings = Settings.model_validate(usable, context=context)
    disagreeing = (
        *_shared_topics(settings),
        *_missing_registry(settings),
        *_incomplete_labels(settings),
        *_limits_without_labels(settings),
    )
    problems += [p for p in disagreeing if p.key not in unusable]
    return SettingsResult(
        settings, tuple(_with_origin(p, overlay.origin) for p in problems), frozenset(unusable)
    )


def _registry(
    document: Mapping[str, object], overlay: dict[str, object], folder: Path
) -> tuple[RegistryProperties | None, Sequence[Problem]]:
    below, problems = schema_registry.flatten_properties(document.get(schema_registry.SECTION, {}))
    above, _ = schema_registry.flatten_properties(overlay.pop(schema_registry.SECTION, {}))
    registered, more = schema_registry.parse_registry({**below, **above}, folder)
    return registered, [*problems, *more]


def _with_origin(problem: Problem, origin: Mapping[str, str]) -> Problem:
    if problem.key not in origin:
        return problem
    return replace(problem, message=f"{problem.message} (set by {origin[problem.key]})")


def _document(path: Path) -> tuple[dict[str, object], Problem | None]:
    try:
        return tomllib.loads(path.read_text("utf-8")), None
    except OSError as error:
        message, fix = f"cannot be read: {error.strerror}", "name the file with -c or STREAM_INFER_CONFIG"
    except UnicodeDecodeError:
        message, fix = "is not UTF-8 text", "save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        message, fix = f"is not TOML: {error}", "correct the syntax there"
    return {}, Problem(str(path), "", message, fix)


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    """Return `below` overlaid by `above`, key by key within a section."""
    merged = dict(below)
    for name, value in above.items():
        merged[name] = {**defaults.table_of(below, name), **value} if isinstance(value, Mapping) else value
    return merged


def _without_nesting(document: Mapping[str, object]) -> dict[str, object]:
    """Return `document` with the section within `[monitoring]` beside it."""
    outer, _, inner = LIMITS.partition(".")
    table = defaults.table_of(document, outer)
    if inner not in table:
        return dict(document)
    rest = {key: value for key, value in table.items() if key != inner}
    return {**document, outer: rest, LIMITS: table[inner]}


def _keys() -> dict[str, list[str]]:
    """Return the keys of each section; "" for the top level."""
    keys: dict[str, list[str]] = {"": list(Settings.model_fields)}
    for setting in SETTINGS:
        if setting.section:
            keys.setdefault(setting.section, []).append(setting.name)
    return keys


def _shared_topics(settings: Settings) -> list[Problem]:
    """Return the topics with two purposes: a worker that reads its own output never ends."""
    taken = dict.fromkeys(settings.input.topics, "input.topics")
    problems = []
    for key, topic in (
        ("output.topic", settings.output.topic),
        ("dlq.topic", settings.dlq.topic),
        ("labels.topic", settings.labels.topic),
        ("monitoring.topic", settings.monitoring.topic),
        ("monitoring.observations_topic", settings.monitoring.observations_topic),
        ("monitoring.state_topic", settings.monitoring.state_topic),
        ("model.status_topic", settings.model.status_topic),
        ("model.control_topic", settings.model.control_topic),
    ):
        if topic in taken:
            message = f"is the same topic as {taken[topic]}"
            problems.append(Problem(key, f'"{topic}"', message, "give each its own topic"))
        elif topic is not None:
            taken[topic] = key
    return problems


def _missing_registry(settings: Settings) -> Iterator[Problem]:
    """Yield the problem of a framing that needs a registry where none is set."""
    framings = {"input.framing": settings.input.framing, "output.framing": settings.output.framing}
    if settings.labels.topic is not None:
        framings["labels.framing"] = settings.labels.framing
    keys = [key for key, framing in framings.items() if framing is Framing.CONFLUENT]
    if keys and settings.schema_registry is None:
        yield schema_registry.missing(keys[0])


def _incomplete_labels(settings: Settings) -> Iterator[Problem]:
    """Yield what labels lack to have an effect."""
    labels = settings.labels
    if labels.topic is None and labels.model_fields_set - {"framing"}:
        fix = 'add it to [labels], for example topic = "payments.transactions.labels.v1"'
        yield Problem("labels.topic", "", "is required", fix)
    if labels.topic is not None and settings.monitoring.topic is None:
        fix = f'add it to [monitoring], for example topic = "{settings.pipeline}.monitoring.v1"'
        yield Problem("monitoring.topic", "", "is required with labels: model metrics go there", fix)


def _limits_without_labels(settings: Settings) -> Iterator[Problem]:
    """Yield the limits that only labels can exceed, where there are none."""
    if settings.labels.topic is None:
        for name in (*LABEL_METRICS, "min_labels_per_hour"):
            value = getattr(settings.limits, name)
            if value is not None:
                fix = "name the topic of the labels in [labels], or remove the limit"
                yield Problem(f"{LIMITS}.{name}", f"{value:g}", "needs labels, and there are none", fix)
