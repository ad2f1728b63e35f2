"""The types of values in worker.toml: how each is checked, and how its JSON schema describes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainValidator,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

_LONGEST_TOPIC = 249
_LEGAL_TOPIC = re.compile(r"[A-Za-z0-9._-]+")
_OWN_TOPIC = re.compile(r"[a-z0-9.-]+")
_PIPELINE = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_DURATION = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_FIELD = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"


@dataclass(frozen=True, slots=True)
class Unit:
    """Metadata of a field: the unit of its number."""

    name: str


@dataclass(frozen=True, slots=True)
class DerivedDefault:
    """Metadata of a field: its default follows from the setting `source`, whose value stands for `{}`.

    Of a list the first item counts. Where `only_with` names a setting, there is a default only beside that.
    """

    source: str
    template: str
    only_with: str | None = None

    @property
    def shown(self) -> str:
        """The default with the name of its source."""
        return self.template.format(f"<{self.source}>")


@dataclass(frozen=True, slots=True)
class HostDefault:
    """Metadata of a field: its default follows from the host; `text` describes it."""

    text: str


def invalid_value(message: str, fix: str) -> PydanticCustomError:
    """Return a validation error that carries its fix."""
    return PydanticCustomError("wrong", "{message}", {"message": message, "fix": fix})


def topic_name(name: str) -> str:
    """Return `name` by the naming rule of the pipeline's topics: lower case, dots and hyphens."""
    return re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return `names`; raise a validation error when one is there twice."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise invalid_value(f"names {', '.join(twice)} more than once", "name each once")
    return names


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
        f"is not a legal topic name (letters, digits, . _ -, at most {_LONGEST_TOPIC} characters)",
        "write the exact name of the topic",
    )


def _own_topic(name: str) -> str:
    if _OWN_TOPIC.fullmatch(_topic(name)):
        return name
    raise invalid_value(
        "has an underscore or upper case: Kafka's metric names do not tell `_` from `.`",
        f'for example "{topic_name(name)}"',
    )


def _start(value: object) -> object:
    """Accept earliest, latest, or a time with its time zone, as text or as a TOML date-time."""
    if value in ("earliest", "latest"):
        return value
    try:
        moment = value if isinstance(value, date) else datetime.fromisoformat(str(value))
    except ValueError:
        moment = None
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return moment
    reason = "has no time zone" if moment is not None else "is neither earliest, latest nor a time"
    raise invalid_value(reason, 'use "earliest", "latest" or for example 2026-01-31T00:00:00Z')


def _duration(value: object) -> int:
    """Return the milliseconds of a duration."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise invalid_value("is not a duration", 'write a number and a unit: "90s", "15m", "2h" or "7d"')
    return int(found[1]) * _SECONDS[found[2]] * 1000


def _path(path: Path, info: ValidationInfo) -> Path:
    return Path(info.context["folder"], path) if info.context else path


def _text(title: str, pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"title": title, "type": "string", "pattern": f"^({pattern})$"})


Pipeline = Annotated[str, AfterValidator(_pipeline), _text("name", _PIPELINE.pattern)]
InputTopic = Annotated[str, AfterValidator(_topic), _text("topic name", _LEGAL_TOPIC.pattern)]
OwnTopic = Annotated[str, AfterValidator(_own_topic), _text("topic name", _OWN_TOPIC.pattern)]
FieldPath = Annotated[
    str,
    StringConstraints(pattern=_FIELD),
    WithJsonSchema({"title": "field path", "type": "string", "pattern": _FIELD}),
]
ConfigPath = Annotated[Path, AfterValidator(_path), WithJsonSchema({"title": "path", "type": "string"})]
Milliseconds = Annotated[int, BeforeValidator(_duration), _text("duration", _DURATION.pattern)]
Start = Annotated[
    Literal["earliest", "latest"] | datetime,
    PlainValidator(_start),
    WithJsonSchema({"title": '`"earliest"`, `"latest"` or date-time'}),
]
