"""The sections of worker.toml, one frozen model each: names, types, defaults and units.

Reading the file is in `settings`; `[kafka]`, whose keys are librdkafka's, is in `properties`.
"""

from __future__ import annotations

import re
import socket
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from stream_infer.avro.framing import Framing
from stream_infer.kafka.offsets import OnLostOffset
from stream_infer.steps.options import JoinBy, OnDifference, Partitioning, Tombstones

_LONGEST_TOPIC = 249
_LEGAL_TOPIC = re.compile(r"[A-Za-z0-9._-]+")
_OWN_TOPIC = re.compile(r"[a-z0-9.-]+")
_PIPELINE = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_DURATION = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_FIELD = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"


class Guarantee(StrEnum):
    """How often a record is answered when a worker dies: once, or at least once."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


def invalid_value(message: str, fix: str) -> PydanticCustomError:
    """Return a validation error that carries its fix."""
    return PydanticCustomError("wrong", "{message}", {"message": message, "fix": fix})


def topic_name(name: str) -> str:
    """Return `name` as topics are called here: lower case, dots between parts, hyphens inside."""
    return re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")


def _pipeline(name: str) -> str:
    if _PIPELINE.fullmatch(name):
        return name
    raise invalid_value(
        "must be lower-case letters, digits, dots and hyphens: topics, groups and ids are named after it",
        f'for example "{topic_name(name) or "payments.fraud"}"',
    )


def _topic(name: str) -> str:
    if _LEGAL_TOPIC.fullmatch(name) and len(name) <= _LONGEST_TOPIC and name not in {".", ".."}:
        return name
    raise invalid_value(
        f"is no name that Kafka gives a topic (letters, digits, . _ -, at most {_LONGEST_TOPIC})",
        "write the topic's exact name",
    )


def _own_topic(name: str) -> str:
    if _OWN_TOPIC.fullmatch(_topic(name)):
        return name
    raise invalid_value(
        "has an underscore or upper case: Kafka takes `_` and `.` for one in metric names",
        f'for example "{topic_name(name)}"',
    )


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise invalid_value(f"names {', '.join(twice)} more than once", "name each once")
    return names


def _start(value: object) -> object:
    """Accept earliest, latest, or a moment with its time zone, as text or as a TOML date-time."""
    if value in ("earliest", "latest"):
        return value
    try:
        moment = value if isinstance(value, date) else datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return moment
    reason = "names no time zone" if moment is not None else "is neither earliest, latest nor a moment"
    raise invalid_value(reason, 'use "earliest", "latest" or for example 2026-01-31T00:00:00Z')


def _duration(value: object) -> int:
    """Return the milliseconds of a duration."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise invalid_value("is no duration", 'write a number and a unit: "90s", "15m", "2h" or "7d"')
    return int(found[1]) * _SECONDS[found[2]] * 1000


def _path(path: Path, info: ValidationInfo) -> Path:
    return Path(info.context["folder"], path) if info.context else path


def _or_store(package: Path | None, info: ValidationInfo) -> Path | None:
    if (package is None) == (info.data.get("store") is None):
        state = "is missing, and so is a store" if package is None else "is named beside a store"
        raise invalid_value(state, 'name either package = "models/fraud-1.2.0" or store = "models/"')
    return package


Pipeline = Annotated[str, AfterValidator(_pipeline)]
InputTopic = Annotated[str, AfterValidator(_topic)]
OwnTopic = Annotated[str, AfterValidator(_own_topic)]
FieldPath = Annotated[str, StringConstraints(pattern=_FIELD)]
ConfigPath = Annotated[Path, AfterValidator(_path)]
Milliseconds = Annotated[int, BeforeValidator(_duration)]
Start = Annotated[Literal["earliest", "latest"] | datetime, PlainValidator(_start)]


class Section(BaseModel):
    """A table of worker.toml: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class InputSection(Section):
    """Where events come from and how to read them.

    Under the Confluent framing `schema` is what events are read as, and may be left out: the registry has the
    writers'.
    """

    topics: Annotated[tuple[InputTopic, ...], Field(min_length=1), AfterValidator(_distinct)]
    framing: Framing = Framing.NONE
    schema_path: ConfigPath | None = Field(alias="schema")
    start: Start = "earliest"
    on_lost_offset: OnLostOffset = OnLostOffset.HALT
    tombstones: Tombstones = Tombstones.DEAD_LETTER
    event_time: FieldPath | None = None

    @property
    def start_at(self) -> str | int:
        """`earliest`, `latest`, or Unix milliseconds."""
        return self.start if isinstance(self.start, str) else int(self.start.timestamp() * 1000)


class OutputSection(Section):
    """Where predictions go, and what they carry. `topic` and `framing` are filled in before validation."""

    topic: OwnTopic
    framing: Framing
    partitioning: Partitioning = Partitioning.SOURCE
    copy_fields: Annotated[tuple[FieldPath, ...], AfterValidator(_distinct)] = Field(default=(), alias="copy")


class DeadLetterSection(Section):
    """Where records go that cannot be scored. `topic` is filled in before validation."""

    topic: OwnTopic


class MonitoringSection(Section):
    """Where monitoring events go; without `topic` nothing is monitored.

    With a model store `topic` is filled in before validation, and so are always the two topics between the
    roles: what scorers have seen, and what the monitor remembers.

    The alarm budget is over everything that is watched: about `false_alarms` in `false_alarm_days` at
    `events_per_s` in all partitions. What watches has its thresholds from it.
    """

    topic: OwnTopic | None = None
    observations_topic: OwnTopic
    state_topic: OwnTopic
    false_alarms: float = Field(default=1.0, gt=0, le=1_000_000)
    false_alarm_days: float = Field(default=30.0, gt=0, le=36_500)
    events_per_s: float = Field(default=100.0, gt=0, le=1e9)
    detectors: Annotated[
        tuple[Literal["PageHinkley", "ADWIN", "KSWIN"], ...], Field(min_length=1), AfterValidator(_distinct)
    ] = ("PageHinkley", "ADWIN")
    compare: Annotated[tuple[Literal["PSI", "KS"], ...], AfterValidator(_distinct)] = ("PSI",)


class LabelsSection(Section):
    """Where delayed ground truth comes from, and how it is joined; without `topic` nothing is.

    Without `schema` labels are records of our type `Label`. `framing` is filled in before validation.
    """

    topic: InputTopic | None = None
    framing: Framing
    schema_path: ConfigPath | None = Field(default=None, alias="schema")
    join: JoinBy = JoinBy.PREDICTION_ID
    id_field: FieldPath = "prediction_id"
    label_field: FieldPath = "label"
    time_field: FieldPath | None = None
    max_delay_ms: Milliseconds = Field(default=7 * 86_400_000, alias="max_delay")
    max_early_ms: Milliseconds = Field(default=600_000, alias="max_early")
    max_pending: int = Field(default=100_000, ge=100, le=10_000_000)
    window: int = Field(default=200, ge=10, le=100_000)


class Follow(StrEnum):
    """Where the desired deployment is kept: in the store's CURRENT file, or on the control topic."""

    STORE = "store"
    TOPIC = "topic"


class ModelSection(Section):
    """Which model package serves: a fixed one, or whichever is desired from a store.

    The topics are filled in before validation: workers post their status, and read what is desired. What a
    package may take when it is tried: milliseconds in all, bytes on top of the libraries, and milliseconds
    for 1,000 events.
    """

    store: ConfigPath | None = None
    package: Annotated[ConfigPath | None, AfterValidator(_or_store), Field(validate_default=True)] = None
    follow: Follow = Follow.STORE
    on_difference: OnDifference = OnDifference.WARN
    rehearsal_timeout_ms: int = Field(default=60_000, ge=1, le=3_600_000)
    rehearsal_memory_bytes: int = Field(default=2 * 2**30, ge=1, le=2**50)
    rehearsal_batch_ms: int = Field(default=1_000, ge=0, le=3_600_000)
    status_topic: OwnTopic
    control_topic: OwnTopic


class DeliverySection(Section):
    """What is promised when a worker dies."""

    guarantee: Guarantee = Guarantee.EXACTLY_ONCE


class WorkerSection(Section):
    """This worker among its siblings, and the size and rhythm of its batches."""

    slot: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")] = Field(
        default_factory=lambda: f"{socket.gethostname()}-0"
    )
    max_batch_records: int = Field(default=50_000, ge=1, le=1_000_000)
    max_batch_bytes: int = Field(default=64 * 2**20, ge=1, le=2**30)
    commit_interval_ms: int = Field(default=20, ge=0, le=60_000)
    latency_goal_ms: int = Field(default=100, ge=1, le=60_000)


class HttpSection(Section):
    """Where probes and metrics answer; port 0 takes any free one."""

    host: Annotated[str, StringConstraints(min_length=1)] = "127.0.0.1"
    port: int = Field(default=8900, ge=0, le=65_535)
