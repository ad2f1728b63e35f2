from __future__ import annotations

import json
from typing import Any

import pytest

from stream_infer.avro.references import inline_references
from stream_infer.avro.schemas import SchemaRefused, leaves, parse_schema

MONEY = {
    "type": "record",
    "name": "Money",
    "namespace": "shop",
    "fields": [{"name": "cents", "type": "long"}],
}
COLOUR = {"type": "enum", "name": "Colour", "symbols": ["RED"]}


def order(*fields: tuple[str, Any], **more: Any) -> str:
    listed = [{"name": name, "type": kind} for name, kind in fields]
    return json.dumps({"type": "record", "name": "Order", "fields": listed, **more})


def test_a_schema_that_refers_to_none_stays_as_it_is() -> None:
    assert inline_references(order(("n", "long")), []) == order(("n", "long"))


def test_a_type_is_defined_where_it_is_first_used_and_named_after_that() -> None:
    text = order(("price", "shop.Money"), ("discount", ["null", "shop.Money"]), ("paint", "Colour"))

    schema = parse_schema(inline_references(text, [json.dumps(MONEY), json.dumps(COLOUR)]))

    assert list(leaves(schema)) == ["price.cents", "discount.cents", "paint"]


def test_a_name_without_dots_is_looked_for_in_the_namespace_around_it() -> None:
    schema = parse_schema(inline_references(order(("price", "Money"), namespace="shop"), [json.dumps(MONEY)]))

    assert list(leaves(schema)) == ["price.cents"]


def test_definitions_that_use_one_another_are_put_inside_one_another() -> None:
    item = {
        "type": "record",
        "name": "Item",
        "namespace": "shop.stock",
        "fields": [
            {"name": "price", "type": "shop.Money"},
            {"name": "paint", "type": {"type": "array", "items": "x.C"}},
        ],
    }
    colour = {**COLOUR, "name": "x.C"}
    text = order(("item", "shop.stock.Item"), ("price", "shop.Money"))

    schema = parse_schema(inline_references(text, [json.dumps(item), json.dumps(MONEY), json.dumps(colour)]))

    assert list(leaves(schema)) == ["item.price.cents", "price.cents"]


def test_a_type_that_is_still_missing_is_refused_by_name() -> None:
    with pytest.raises(SchemaRefused, match=r"shop\.Money, which it does not define"):
        parse_schema(inline_references(order(("price", "shop.Money")), [json.dumps(COLOUR)]))


@pytest.mark.parametrize("text", ['"long"', '{"type": "array", "items": "long"}', '["null", "long"]'])
def test_a_reference_to_something_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(SchemaRefused, match="defines no type with a name"):
        inline_references(order(("n", "long")), [text])


def test_a_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(SchemaRefused, match="not JSON"):
        inline_references(order(("n", "long")), ["{"])


def test_types_that_contain_each_other_are_refused_and_not_followed_for_ever() -> None:
    a = {"type": "record", "name": "A", "fields": [{"name": "b", "type": ["null", "B"]}]}
    b = {"type": "record", "name": "B", "fields": [{"name": "a", "type": ["null", "A"]}]}

    with pytest.raises(SchemaRefused, match="recursive"):
        parse_schema(inline_references(order(("a", "A")), [json.dumps(a), json.dumps(b)]))
