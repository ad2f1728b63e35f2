from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from confluent_kafka.schema_registry import Schema as Registered
from confluent_kafka.schema_registry import SchemaReference, SchemaRegistryClient

from stream_infer.avro import topic_schemas
from stream_infer.avro.confluent import Unusable, guid_head, id_head
from stream_infer.avro.schemas import Schema, leaves, without_docs
from stream_infer.kafka.confluent_registry import ConfluentRegistry, connect_client
from stream_infer.kafka.writer_schemas import RegistryUnavailable
from tests.support.registry import Mood, StubRegistry
from tests.unit.avro.world import record

EVENT = record(("n", "long"))


@pytest.fixture
def stub() -> Iterator[StubRegistry]:
    with StubRegistry() as running:
        yield running


@pytest.fixture
def registry(stub: StubRegistry) -> Iterator[ConfluentRegistry]:
    with closing(connect_client({"url": stub.url, "timeout": 5})) as connected:
        yield connected


def test_a_schema_is_found_by_id_and_by_guid(stub: StubRegistry, registry: ConfluentRegistry) -> None:
    schema_id = stub.add("events-value", EVENT.text)

    assert registry.writer(id_head(schema_id)) == EVENT
    assert registry.writer(guid_head(stub.guid(schema_id).bytes)) == EVENT


def test_a_schema_is_fetched_once(stub: StubRegistry, registry: ConfluentRegistry) -> None:
    schema_id = stub.add("events-value", EVENT.text)

    registry.writer(id_head(schema_id))
    registry.writer(id_head(schema_id))

    assert len(stub.asked) == 1


@pytest.mark.parametrize("head", [id_head(7), guid_head(bytes(16))])
def test_an_id_that_the_registry_does_not_have_is_unknown(registry: ConfluentRegistry, head: bytes) -> None:
    writer = registry.writer(head)

    assert isinstance(writer, Unusable)
    assert writer.error_class == "unknown_schema"


def test_an_impossible_id_is_unknown_without_a_request(
    stub: StubRegistry, registry: ConfluentRegistry
) -> None:
    writer = registry.writer(b"\x00\x80\x00\x00\x00")

    assert isinstance(writer, Unusable)
    assert writer.error_class == "unknown_schema"
    assert stub.asked == []


@pytest.mark.parametrize("mood", [Mood.FAILING, Mood.ASTRAY])
def test_a_registry_that_fails_has_not_answered(
    stub: StubRegistry, registry: ConfluentRegistry, mood: Mood
) -> None:
    schema_id = stub.add("events-value", EVENT.text)
    stub.become(mood)

    with pytest.raises(RegistryUnavailable):
        registry.writer(id_head(schema_id))
    with pytest.raises(RegistryUnavailable):
        registry.id_of("events-value", EVENT)

    stub.become(Mood.WELL)
    assert registry.writer(id_head(schema_id)) == EVENT


def test_a_registry_that_hangs_or_has_ended_has_not_answered(stub: StubRegistry) -> None:
    with closing(connect_client({"url": stub.url, "timeout": 0.05})) as hasty:
        stub.become(Mood.HANGING)
        with pytest.raises(RegistryUnavailable, match="Timeout"):
            hasty.writer(id_head(1))
    with (
        closing(connect_client({"url": "http://127.0.0.1:1"})) as lost,
        pytest.raises(RegistryUnavailable, match="Connect"),
    ):
        lost.writer(id_head(1))


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ('"long"', {}, "has to be a record"),
        ("{", {}, "not JSON"),
        ("syntax = 'proto3';", {"schemaType": "PROTOBUF"}, "PROTOBUF, not Avro"),
        (EVENT.text, {"ruleSet": {"domainRules": [{"name": "crypt", "mode": "WRITEREAD"}]}}, "rule 'crypt'"),
        (EVENT.text, {"ruleSet": {"encodingRules": [{"name": "seal", "mode": "READ"}]}}, "rule 'seal'"),
        (EVENT.text, {"references": [{"name": "X", "subject": "x", "version": 3}]}, "version 3 of x"),
        (
            json.dumps(
                {
                    "type": "record",
                    "name": "R",
                    "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}],
                }
            ),
            {},
            "no bytes",
        ),
    ],
)
def test_an_unsupported_schema_is_unusable_and_has_a_reason(
    stub: StubRegistry, registry: ConfluentRegistry, text: str, more: dict[str, object], reason: str
) -> None:
    writer = registry.writer(id_head(stub.add("events-value", text, **more)))

    assert isinstance(writer, Unusable)
    assert writer.error_class == "schema_incompatible"
    assert reason in writer.reason


def test_rules_for_writers_only_are_ignored(stub: StubRegistry, registry: ConfluentRegistry) -> None:
    rules = [{"name": "positive", "mode": "WRITE"}, {"name": "off", "mode": "READ", "disabled": True}]

    assert registry.writer(id_head(stub.add("v", EVENT.text, ruleSet={"domainRules": rules}))) == EVENT


def test_references_of_a_schema_are_fetched_recursively() -> None:
    client = SchemaRegistryClient.new_client({"url": "mock://references"})
    money = {"type": "record", "name": "Money", "fields": [{"name": "cents", "type": "long"}]}
    item = {"type": "record", "name": "Item", "fields": [{"name": "price", "type": "Money"}]}
    order = {
        "type": "record",
        "name": "Order",
        "fields": [{"name": "item", "type": "Item"}, {"name": "paid", "type": "Money"}],
    }
    client.register_schema("money", Registered(json.dumps(money)))
    to_money = SchemaReference("Money", "money", 1)
    client.register_schema("item", Registered(json.dumps(item), references=[to_money]))
    references = [SchemaReference("Item", "item", 1), to_money]
    schema_id = client.register_schema("order", Registered(json.dumps(order), references=references))

    writer = ConfluentRegistry(client).writer(id_head(schema_id))

    assert isinstance(writer, Schema)
    assert list(leaves(writer)) == ["item.price.cents", "paid.cents"]


def test_registering_sets_the_compatibility_of_a_new_subject_and_of_no_other(
    stub: StubRegistry, registry: ConfluentRegistry
) -> None:
    prediction = topic_schemas.topic_schema("Prediction")
    stub.add("old-value", EVENT.text)
    assert registry.id_of("new-value", prediction) is None

    made = registry.register("new-value", prediction)
    again = registry.register("new-value", prediction)
    beside = registry.register("old-value", prediction)

    assert made == again == beside == registry.id_of("new-value", prediction)
    assert stub.compatibility == {"new-value": "FULL_TRANSITIVE"}


def test_a_schema_that_an_earlier_release_registered_without_documentation_is_found(
    stub: StubRegistry, registry: ConfluentRegistry
) -> None:
    prediction = topic_schemas.topic_schema("Prediction")
    before = stub.add("predictions-value", without_docs(prediction).text)

    assert registry.id_of("predictions-value", prediction) == before

    now = registry.register("predictions-value", prediction)
    assert registry.id_of("predictions-value", prediction) == now != before


def test_registering_an_input_schema_leaves_compatibility_to_the_registry(
    stub: StubRegistry, registry: ConfluentRegistry
) -> None:
    schema_id = registry.register("events-value", EVENT, own=False)

    assert registry.id_of("events-value", EVENT) == schema_id
    assert stub.compatibility == {}


def test_the_newest_schema_of_a_subject_is_found(stub: StubRegistry, registry: ConfluentRegistry) -> None:
    assert registry.latest("events-value") is None
    stub.add("events-value", record(("m", "int")).text)
    stub.add("events-value", EVENT.text)

    assert registry.latest("events-value") == EVENT


def test_it_works_on_the_mock_registry_of_confluent_s_client() -> None:
    registry = connect_client({"url": "mock://anything"})
    schema_id = registry.register("events-value", EVENT)

    assert registry.writer(id_head(schema_id)) == registry.latest("events-value") == EVENT
    assert registry.id_of("events-value", EVENT) == schema_id
    assert isinstance(registry.writer(id_head(99)), Unusable)


def test_properties_that_the_client_refuses_are_reported() -> None:
    with pytest.raises(ValueError, match=r"no\.such"):
        connect_client({"url": "http://127.0.0.1:1", "no.such": 1})


@pytest.mark.parametrize(
    "field", ["[" * 900 + '"long"' + "]" * 900, '"double", "default": ' + "9" * 4_001], ids=["deep", "digits"]
)
def test_a_schema_that_is_unusable_for_good_is_named_by_its_id(
    stub: StubRegistry, registry: ConfluentRegistry, field: str
) -> None:
    start = '{"type": "record", "name": "E", "fields": [{"name": "a", "type": '
    schema_id = stub.add("events-value", start + field + "}]}")

    found = registry.writer(id_head(schema_id))

    assert isinstance(found, Unusable)
    assert found.error_class == "schema_incompatible"
    assert f"id {schema_id}" in found.reason


def test_whatever_breaks_the_parser_is_unusable_and_no_outage(
    stub: StubRegistry, registry: ConfluentRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(_text: str) -> Schema:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("stream_infer.kafka.confluent_registry.parse_schema", defect)

    found = registry.writer(id_head(stub.add("events-value", EVENT.text)))

    assert isinstance(found, Unusable)
    assert "ZeroDivisionError" in found.reason
