"""worker.toml and the environment, read into one frozen `Settings`, with every problem at once.

Nothing here looks at schemas, packages or brokers: that is `app.checks.check`.

pydantic checks the sections; the layers are ours. pydantic-settings reads the process's environment by
itself, takes `_` in a key literally and ignores a variable that matches nothing; here `_` is a dot below
`[kafka]`, a variable that sets nothing is an error, and every problem names the variable it came from. What
remained of it was a merge of two dictionaries.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_origin

from pydantic import Field, InstanceOf, ValidationError

from stream_infer.avro.framing import Framing
from stream_infer.config import environment, properties, schema_registry
from stream_infer.config.problems import from_validation, key_of, place_of
from stream_infer.config.schema_registry import RegistryProperties
from stream_infer.config.sections import (
    DeadLetterSection,
    DeliverySection,
    HttpSection,
    InputSection,
    LabelsSection,
    ModelSection,
    MonitoringSection,
    OutputSection,
    Pipeline,
    Section,
    WorkerSection,
    topic_name,
)
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka.client import Properties

_ROLE = "score"
_UNNAMED = "unnamed"


class Settings(Section):
    """Everything that worker.toml and the environment say, checked, with paths made absolute."""

    pipeline: Pipeline
    kafka: InstanceOf[Properties]
    input: InputSection
    output: OutputSection
    dlq: DeadLetterSection
    monitoring: MonitoringSection
    labels: LabelsSection
    model: ModelSection
    schema_registry: InstanceOf[RegistryProperties] | None = None
    delivery: DeliverySection = Field(default_factory=DeliverySection)
    worker: WorkerSection = Field(default_factory=WorkerSection)
    http: HttpSection = Field(default_factory=HttpSection)

    @property
    def group_id(self) -> str:
        """The consumer group that all workers of the pipeline share."""
        return f"{self.pipeline}.{_ROLE}"

    @property
    def monitor_group_id(self) -> str:
        """The consumer group of the monitors of the pipeline."""
        return f"{self.pipeline}.monitor"


@dataclass(frozen=True, slots=True)
class SettingsResult:
    """What could be read: the settings, every problem, and the keys whose values are stand-ins.

    With problems, `settings` still holds what is right, and stand-ins for the rest, so that a check can go on
    and report the problems of the rest too. It is None when the file itself cannot be read.
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
    """Do the same, but return the problems beside whatever is right."""
    document, unreadable = _document(path)
    if unreadable is not None:
        return SettingsResult(None, (unreadable,))
    return parse_settings(document, environ, folder=path.parent)


def parse_settings(
    document: Mapping[str, object], environ: Mapping[str, str], *, folder: Path
) -> SettingsResult:
    """Return what `document` and `environ` say; paths in them are relative to `folder`.

    1. Lay the environment over the document.
    2. Turn `[kafka]` and `[schema_registry]` into properties; fill in what follows from other keys.
    3. Validate. Where that fails, put stand-ins for what is wrong and validate the rest.
    """
    overlay = environment.read_environment(environ, _list_keys())
    below, kafka_problems = properties.flatten_scopes(document.get("kafka", {}))
    above, _ = properties.flatten_scopes(overlay.document.pop("kafka", {}))
    kafka = properties.parse_properties({scope: {**below[scope], **above[scope]} for scope in below}, folder)
    registered, registry_problems = _registry(document, overlay.document, folder)
    problems = [*overlay.problems, *kafka_problems, *kafka.problems, *registry_problems]
    merged = {
        **_merged(document, overlay.document),
        "kafka": kafka.properties,
        schema_registry.SECTION: registered,
    }

    context = {"folder": str(folder.absolute())}
    unusable = {problem.key for problem in problems}
    try:
        settings = Settings.model_validate(_completed(merged), context=context)
    except ValidationError as error:
        own = [p for p in from_validation(error, _keys()) if p.key not in unusable]
        problems += _without_consequences(own, merged)
        wrong = {place_of(details) for details in error.errors()}
        keys = {key_of(place) for place in wrong}
        unusable |= keys | _consequences(keys, merged)
        settings = Settings.model_validate(_completed(_repaired(merged, wrong)), context=context)
    found = (*_conflicts(settings), *_unregistered(settings), *_unjoined(settings))
    problems += [p for p in found if p.key not in unusable]
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
        merged[name] = {**_table(below, name), **value} if isinstance(value, Mapping) else value
    return merged


def _keys() -> dict[str, list[str]]:
    """Return the keys of each section; "" for the sections themselves."""
    return {"": list(Settings.model_fields), **{s: list(keys) for s, keys in _list_keys().items()}}


def _list_keys() -> dict[str, dict[str, bool]]:
    """Return the keys of each section, and whether they take a list."""
    return {
        section: {f.alias or n: get_origin(f.annotation) is tuple for n, f in model.model_fields.items()}
        for section, model in _sections().items()
    }


def _sections() -> dict[str, type[Section]]:
    annotations = {name: f.annotation for name, f in Settings.model_fields.items()}
    return {n: a for n, a in annotations.items() if isinstance(a, type) and issubclass(a, Section)}


def _completed(document: Mapping[str, object]) -> dict[str, object]:
    """Fill in what follows from other keys: default topics, the output's framing, a schema that may lack."""
    completed: dict[str, object] = {**{section: {} for section in _sections()}, **document}
    pipeline = document.get("pipeline")
    source = _table(document, "input")
    topics = source.get("topics")
    first = topics[0] if isinstance(topics, (list, tuple)) and topics else None
    derived: dict[str, dict[str, object]] = {
        "output": {
            "topic": f"{_named(pipeline)}.predictions.v1",
            "framing": source.get("framing", "none"),
        },
        "dlq": {"topic": f"dlq.{_named(first)}"},
        "model": {
            "status_topic": f"{_named(pipeline)}.model-status.v1",
            "control_topic": f"{_named(pipeline)}.model-control.v1",
        },
    }
    derived["labels"] = {"framing": source.get("framing", "none")}
    if source.get("framing") == Framing.CONFLUENT:
        derived["input"] = {"schema": None}
    derived["monitoring"] = {
        "observations_topic": f"{_named(pipeline)}.observations.v1",
        "state_topic": f"{_named(pipeline)}.monitor-state.v1",
    }
    if "store" in _table(document, "model"):
        derived["monitoring"]["topic"] = f"{_named(pipeline)}.monitoring.v1"
    for section, defaults in derived.items():
        if isinstance(completed[section], Mapping):
            completed[section] = {**defaults, **_table(completed, section)}
    return completed


def _named(value: object) -> str:
    return (topic_name(value) if isinstance(value, str) else "") or _UNNAMED


def _table(document: Mapping[str, object], section: str) -> Mapping[str, object]:
    table = document.get(section)
    return table if isinstance(table, Mapping) else {}


# What is filled in from a key that is wrong is not worth a second problem.
_DERIVED = {
    "pipeline": (
        "output.topic",
        "monitoring.topic",
        "monitoring.observations_topic",
        "monitoring.state_topic",
        "model.status_topic",
        "model.control_topic",
    ),
    "input.topics": ("dlq.topic",),
    "input.framing": ("output.framing", "labels.framing"),
}


def _consequences(wrong: Iterable[str], document: Mapping[str, object]) -> set[str]:
    derived = {
        d for key in wrong for k, ds in _DERIVED.items() if key in {k, k.partition(".")[0]} for d in ds
    }
    return {d for d in derived if d.partition(".")[2] not in _table(document, d.partition(".")[0])}


def _without_consequences(problems: list[Problem], document: Mapping[str, object]) -> list[Problem]:
    consequences = _consequences([p.key for p in problems], document)
    return [p for p in problems if p.key not in consequences]


def _repaired(document: Mapping[str, object], wrong: Iterable[tuple[str, ...]]) -> dict[str, object]:
    """Return `document` without what is at `wrong`, and with stand-ins for what is required."""
    repaired = dict(document)
    for section, *name in wrong:
        if name:
            repaired[section] = {k: v for k, v in _table(repaired, section).items() if k != name[0]}
        else:
            repaired.pop(section, None)
    required: dict[str, dict[str, object]] = {
        "input": {"topics": [_UNNAMED], "schema": _UNNAMED},
        "model": {} if "store" in _table(repaired, "model") else {"package": _UNNAMED},
    }
    for section, stand_ins in required.items():
        repaired[section] = {**stand_ins, **_table(repaired, section)}
    return {"pipeline": _UNNAMED, **repaired}


def _conflicts(settings: Settings) -> list[Problem]:
    """Return the topics that serve two purposes: a worker that reads what it writes never ends."""
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


def _unregistered(settings: Settings) -> Iterator[Problem]:
    """Yield that a framing needs a registry where none is named."""
    framings = {"input.framing": settings.input.framing, "output.framing": settings.output.framing}
    if settings.labels.topic is not None:
        framings["labels.framing"] = settings.labels.framing
    keys = [key for key, framing in framings.items() if framing is Framing.CONFLUENT]
    if keys and settings.schema_registry is None:
        yield schema_registry.missing(keys[0])


def _unjoined(settings: Settings) -> Iterator[Problem]:
    """Yield why labels would lead to nothing."""
    labels = settings.labels
    if labels.topic is None and labels.model_fields_set - {"framing"}:
        fix = 'add it to [labels], for example topic = "payments.transactions.labels.v1"'
        yield Problem("labels.topic", "", "is required", fix)
    if labels.topic is not None and settings.monitoring.topic is None:
        fix = f'name it, for example topic = "{settings.pipeline}.monitoring.v1"'
        yield Problem("monitoring.topic", "", "is required beside labels: figures go there", fix)
