from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stream_infer.avro.schemas import without_docs
from stream_infer.avro.topic_schemas import topic_schema

NAMES = ["Prediction", "MonitoringEvent", "Label", "ObservationFrame", "Deployment", "WorkerStatus"]


def definitions(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every record, field and enumeration in a schema with its path."""
    for item in node if isinstance(node, list) else [node]:
        if not isinstance(item, dict):
            continue
        kind = item["type"]
        if kind in {"record", "enum"}:
            yield f"{path}:{item['name']}", item
        for field in item.get("fields", ()):
            yield f"{path}.{field['name']}", field
            yield from definitions(field["type"], f"{path}.{field['name']}")
        for inside in (item.get("items"), item.get("values"), kind):
            yield from definitions(inside, path)


@pytest.mark.parametrize("name", NAMES)
def test_our_own_record_types_are_found(name: str) -> None:
    assert topic_schema(name).name == f"io.streaminfer.v1.{name}"


def test_an_unknown_name_is_a_lookup_error() -> None:
    with pytest.raises(LookupError, match="no schema named Nonesuch"):
        topic_schema("Nonesuch")


@pytest.mark.parametrize("name", NAMES)
def test_every_record_and_field_is_documented(name: str) -> None:
    documented = dict(definitions(json.loads(topic_schema(name).text), name))

    assert len(documented) > 6
    assert [path for path, one in documented.items() if not one.get("doc", "").endswith(".")] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_documentation_of_a_nullable_field_says_what_null_means(name: str) -> None:
    documented = dict(definitions(json.loads(topic_schema(name).text), name))
    nullable = [path for path, one in documented.items() if "null" in one["type"]]

    assert [path for path in nullable if "Null " not in documented[path]["doc"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_without_its_documentation_a_schema_has_the_same_bytes(name: str) -> None:
    bare = without_docs(topic_schema(name))

    assert bare.fingerprint == topic_schema(name).fingerprint
    assert '"doc"' not in bare.text
