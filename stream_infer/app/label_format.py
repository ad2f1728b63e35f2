"""The format of labels from the settings, and its problems. `label_join` joins them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_infer.avro import topic_schemas
from stream_infer.avro.schemas import Leaf, Schema, leaves, other_fields
from stream_infer.config import input_schemas
from stream_infer.config.monitoring_sections import LabelsSection
from stream_infer.config.problems import nearest
from stream_infer.drift.label_values import label_value
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.manifest import OutputContract
from stream_infer.steps.monitoring.label_readers import LabelFields
from stream_infer.steps.options import JoinBy
from stream_infer.steps.scoring.plan import units_per_ms

_KNOWN_SINCE = "labelled_at"
_VALUE = "value"
_NUMBERS = frozenset({"int", "long", "float", "double"})
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class LabelFormat:
    """The schema that labels are read as, and which of its fields say what."""

    schema: Schema
    fields: LabelFields


def label_format(settings: LabelsSection) -> LabelFormat:
    """Return how labels are read. Raises `Misconfigured` with every problem."""
    given = input_schemas.read_label_schema(settings)
    if isinstance(given, Problem):
        raise Misconfigured([given])
    schema = given or topic_schemas.topic_schema("Label")
    problems = list(_problems(settings, schema))
    if problems:
        raise Misconfigured(problems)
    time = settings.time_field or (_KNOWN_SINCE if given is None else None)
    fields = LabelFields(
        id=settings.id_field if settings.join is JoinBy.PREDICTION_ID else None,
        label=settings.label_field,
        value=_VALUE if given is None else None,
        time=time,
        units_per_ms=(time and units_per_ms(leaves(schema)[time])) or 1,
    )
    return LabelFormat(schema, fields)


def class_problem(labels: LabelFormat, output: OutputContract) -> Problem | None:
    """Return why no label can be an answer of a model with `output`, or None.

    Text may be anything, and our own labels hold a class or a value.
    """
    kind = leaves(labels.schema)[labels.fields.label].kind
    if labels.fields.value is not None:
        return None
    numbers = {label_value(one) for one in output.classes} - {None}
    if output.kind == "regressor":
        unfit, answers = kind in {"boolean", "enum"}, "numbers"
    elif kind == "boolean":
        unfit, answers = not {0, 1} <= numbers, _listed(output.classes)
    else:
        unfit, answers = kind in _NUMBERS and not numbers, _listed(output.classes)
    if not unfit:
        return None
    message = f"is {kind} in {labels.schema.name}, and the model's answers are {answers}"
    fix = "name the field with the true answer"
    return Problem("labels.label_field", f'"{labels.fields.label}"', message, fix)


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(classes[:_SHOWN]) + (", ..." if len(classes) > _SHOWN else "")


def _problems(settings: LabelsSection, schema: Schema) -> Iterator[Problem]:
    known = leaves(schema)
    if settings.join is JoinBy.PREDICTION_ID:
        yield from _absent("labels.id_field", settings.id_field, known, schema)
        leaf = known.get(settings.id_field)
        if leaf is not None and leaf.kind != "string":
            message = f"is {leaf.kind} in {schema.name}; the id of a prediction is a string"
            yield Problem("labels.id_field", settings.id_field, message, 'name another, or use join = "key"')
    yield from _absent("labels.label_field", settings.label_field, known, schema)
    if settings.time_field is not None:
        yield from _absent("labels.time_field", settings.time_field, known, schema)
        leaf = known.get(settings.time_field)
        if leaf is not None and units_per_ms(leaf) is None:
            message = f"is {leaf.logical or leaf.kind} in {schema.name}, which is no point in time"
            fix = "name a timestamp, or a long of milliseconds"
            yield Problem("labels.time_field", settings.time_field, message, fix)


def _absent(key: str, path: str, known: Mapping[str, Leaf], schema: Schema) -> Iterator[Problem]:
    if path not in known:
        match = nearest(path, known)
        fix = f"did you mean {match}?" if match else "name a scalar field, nested ones with dots"
        what = other_fields(schema).get(path, "not a field")
        yield Problem(key, f'"{path}"', f"is {what} of {schema.name}", fix)
