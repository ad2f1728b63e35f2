"""The scoring plan of a model: the fields of the event to decode, and the field that holds its time.

A plan depends on the package, whose features read fields of the event, so each model has its own. Making one
is pure and checks everything that could fail, so the plan of a candidate is made before the swap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.avro.confluent import Writer
from stream_infer.avro.decode import Decoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Leaf, Schema, leaves, other_fields
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.models.load import Model
from stream_infer.models.manifest import Feature, Policy

_WITHIN = {"int": {"int"}, "long": {"int", "long"}, "float": {"int", "long", "float"}}
_TEXT = {"string", "enum"}
_READABLE = {
    **_WITHIN,
    "double": {"int", "long", "float", "double"},
    "boolean": {"boolean"},
    "string": _TEXT,
    "enum": _TEXT,
}
"""Kind of a feature -> kinds of field that Avro promotes to it (an enum is a string)."""

_UNITS_PER_MS = {
    None: 1,
    "timestamp-millis": 1,
    "local-timestamp-millis": 1,
    "timestamp-micros": 1_000,
    "local-timestamp-micros": 1_000,
    "timestamp-nanos": 1_000_000,
    "local-timestamp-nanos": 1_000_000,
}


@dataclass(frozen=True, slots=True)
class Events:
    """The framing and schemas of the input, and the fields that a prediction copies from the event.

    `event_time` and `copy` are dotted paths; without `event_time` the record's own timestamp counts. With a
    `reader`, events of all `writers` are resolved to it. Under the Confluent framing there is a reader, and
    the writers are those in `registered`; see `Decoder`.
    """

    framing: Framing
    writers: Sequence[Schema]
    reader: Schema | None = None
    event_time: str | None = None
    copy: tuple[str, ...] = ()
    registered: Mapping[bytes, Writer] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventTime:
    """The field with the time of the event: whole units since 1970, `units_per_ms` to a millisecond."""

    path: str
    units_per_ms: int


@dataclass(frozen=True, slots=True)
class ScoringPlan:
    """The decoder of the fields that one model reads, and the event fields that a prediction takes."""

    decoder: Decoder
    event_time: EventTime | None
    copy: tuple[str, ...]


def plan_scoring(model: Model, events: Events) -> ScoringPlan:
    """Return the plan for `model` on `events`.

    Raises `Refused` (schema) when the events do not have what a feature reads, `Misconfigured` when they
    do not have the configured fields.
    """
    check_fields(model.manifest.features, events)
    schema = events.reader or events.writers[0]
    known = leaves(schema)
    problems = list(field_problems(events, known, schema))
    if problems:
        raise Misconfigured(problems)
    event_time = None
    if events.event_time is not None:
        event_time = EventTime(events.event_time, _UNITS_PER_MS[known[events.event_time].logical])
    paths = [feature.source for feature in model.manifest.features]
    paths += [*events.copy, *([event_time.path] if event_time else [])]
    decoder = Decoder(
        events.framing,
        events.writers,
        list(dict.fromkeys(paths)),
        reader=events.reader,
        registered=events.registered,
    )
    return ScoringPlan(decoder, event_time, events.copy)


def check_fields(features: Sequence[Feature], events: Events) -> None:
    """Raise `Refused` (schema) when the events do not have what a feature reads."""
    schema = events.reader or events.writers[0]
    known = leaves(schema)
    for feature in features:
        check_feature(feature, known.get(feature.source), schema)
    check_shared_sources(features)


def check_feature(feature: Feature, leaf: Leaf | None, schema: Schema) -> None:
    """Raise `Refused` (schema) when `leaf`, at the feature's source in `schema`, is not what it reads."""
    where = f"feature '{feature.name}' reads '{feature.source}'"
    if leaf is None:
        raise Refused(
            RefusalCode.SCHEMA, f"{where}, which is {_found(feature.source, schema)} in {schema.name}"
        )
    if leaf.kind not in _READABLE[feature.type]:
        raise Refused(RefusalCode.SCHEMA, f"{where} as {feature.type}; in {schema.name} it is {leaf.kind}")
    if leaf.logical != feature.logical:
        was, now = feature.logical or "a plain value", leaf.logical or "a plain value"
        raise Refused(RefusalCode.SCHEMA, f"{where} as {was}; in {schema.name} it is {now}")


def check_shared_sources(features: Sequence[Feature]) -> None:
    """Raise `Refused` (schema) when two features impute one field differently."""
    seen: dict[str, Feature] = {}
    for feature in features:
        other = seen.setdefault(feature.source, feature)
        if _imputation(other) != _imputation(feature):
            raise Refused(
                RefusalCode.SCHEMA,
                f"'{other.name}' and '{feature.name}' impute one field differently",
            )


def _imputation(feature: Feature) -> object:
    imputes = [policy is Policy.IMPUTE for policy in (feature.missing, feature.nan, feature.infinite)]
    return imputes, feature.impute if any(imputes) else None


def field_problems(events: Events, known: Mapping[str, Leaf], schema: Schema) -> Iterator[Problem]:
    """Yield the problems of the configured fields, given the leaves of `schema`."""
    fix = "name a scalar field, nested ones with dots"
    for path in events.copy:
        if path not in known:
            yield Problem("output.copy", path, f"{_found(path, schema)} in {schema.name}", fix)
        elif known[path].decimal is not None:
            message = f"a decimal in {schema.name}, and is read as a float, which rounds it"
            yield Problem("output.copy", path, message, "name a field of text or whole numbers")
    time = events.event_time
    if time is not None and time not in known:
        yield Problem("input.event_time", time, f"{_found(time, schema)} in {schema.name}", fix)
    elif time is not None and not _is_time(known[time]):
        kind = known[time].logical or known[time].kind
        message = f"{kind} in {schema.name}, which is no point in time"
        yield Problem("input.event_time", time, message, "name a timestamp, or a long of milliseconds")


def units_per_ms(leaf: Leaf) -> int | None:
    """Return how many of the leaf's units make a millisecond, or None when it is no point in time."""
    return _UNITS_PER_MS[leaf.logical] if _is_time(leaf) else None


def _found(path: str, schema: Schema) -> str:
    return other_fields(schema).get(path, "not a field")


def _is_time(leaf: Leaf) -> bool:
    return leaf.kind == "long" and leaf.logical in _UNITS_PER_MS
