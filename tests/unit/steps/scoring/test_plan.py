"""A plan is refused before it can hurt: what a feature reads must be in the events, and mean the same."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import parse_schema
from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.manifest import Policy
from stream_infer.steps.scoring.plan import Events, EventTime, plan_scoring
from tests.unit.steps.world import EVENTS, feature, model


def test_a_plan_decodes_what_the_model_reads_and_the_prediction_copies() -> None:
    made = plan_scoring(model(), replace(EVENTS, copy=("id", "amount"), event_time="ts_us"))

    assert made.copy == ("id", "amount")
    assert made.event_time == EventTime("ts_us", 1000)
    assert set(made.decoder.decode([]).columns) == {"amount", "items", "id", "ts_us"}


@pytest.mark.parametrize(
    ("source", "kind", "reason"),
    [
        ("nowhere", "double", "reads 'nowhere', which is not a field in test.Transaction"),
        ("tags", "string", "reads 'tags', which is an array in test.Transaction"),
        ("id", "double", "reads 'id' as double; in test.Transaction it is string"),
        ("amount", "long", "reads 'amount' as long; in test.Transaction it is double"),
        ("ts", "long", "reads 'ts' as a plain value; in test.Transaction it is timestamp-millis"),
    ],
)
def test_a_model_that_reads_what_events_do_not_have_is_refused(source: str, kind: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        plan_scoring(model(features=[feature("f", kind, source=source)]), EVENTS)

    assert refused.value.code == "schema"


def test_a_unit_of_time_that_changed_is_refused() -> None:
    micros = feature("f", "long", source="ts", logical="timestamp-micros")

    with pytest.raises(Refused, match=r"as timestamp-micros; in test.Transaction it is timestamp-millis"):
        plan_scoring(model(features=[micros]), EVENTS)


@pytest.mark.parametrize(
    ("source", "kind"), [("ratio", "double"), ("items", "double"), ("device.kind", "string")]
)
def test_a_feature_reads_what_avro_promotes_to_it(source: str, kind: str) -> None:
    plan_scoring(model(features=[feature("f", kind, source=source)]), EVENTS)


def test_two_features_of_one_field_must_impute_the_same() -> None:
    one = feature("one", "long", source="items", missing=Policy.IMPUTE, impute=1)
    plan_scoring(model(features=[one, replace(one, name="two")]), EVENTS)

    with pytest.raises(Refused, match="'one' and 'two' impute one field differently"):
        plan_scoring(model(features=[one, replace(one, name="two", impute=2)]), EVENTS)


def test_every_field_that_the_events_do_not_have_is_named() -> None:
    with pytest.raises(Misconfigured) as found:
        plan_scoring(model(), replace(EVENTS, copy=("id", "gone", "tags"), event_time="also.gone"))

    assert [(p.key, p.value, p.message) for p in found.value.problems] == [
        ("output.copy", "gone", "not a field in test.Transaction"),
        ("output.copy", "tags", "an array in test.Transaction"),
        ("input.event_time", "also.gone", "not a field in test.Transaction"),
    ]


@pytest.mark.parametrize(("path", "what"), [("day", "date"), ("id", "string"), ("amount", "double")])
def test_an_event_time_is_a_point_in_time(path: str, what: str) -> None:
    with pytest.raises(Misconfigured, match=f"{what} in test.Transaction, which is no point in time"):
        plan_scoring(model(), replace(EVENTS, event_time=path))


def test_a_decimal_is_not_copied_as_a_rounded_float() -> None:
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
    fields = [{"name": "amount", "type": "double"}, {"name": "price", "type": kind}]
    schema = parse_schema(json.dumps({"type": "record", "name": "Sale", "fields": fields}))
    served = model(features=[feature("amount", "double")])

    with pytest.raises(Misconfigured, match=r"output\.copy: a decimal in Sale"):
        plan_scoring(served, Events(Framing.NONE, [schema], copy=("price",)))
