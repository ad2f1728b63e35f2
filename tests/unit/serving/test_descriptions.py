"""A server describes its model: to programs by OpenAPI and `GET /v1/model`, to people by a page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_infer.avro.schemas import parse_schema
from stream_infer.packaging.scorer import Scorer
from stream_infer.packaging.strict_event import strict_event
from stream_infer.serving.event_schema import event_json_schema
from stream_infer.serving.golden_events import empty_event
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Client

Json = dict[str, Any]
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}


def event_schema(client: Client) -> Json:
    schema: Json = client.get("/openapi.json").document["components"]["schemas"]["event"]
    return schema


def test_the_events_of_the_document_are_those_of_the_package(client: Client) -> None:
    schema = event_schema(client)

    assert list(schema["properties"]) == list(EVENTS[0])
    assert schema["required"] == ["trip_id", "stops", "night", "colour", "started", "tags"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["colour"]["enum"] == ["RED", "GREEN", "BLUE"]
    assert schema["properties"]["started"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert schema["properties"]["driver"]["anyOf"][1]["properties"]["age"]["type"] == "integer"


def test_a_feature_tells_its_range_and_an_example_and_enforces_no_range(
    client: Client, served: Scorer
) -> None:
    stops = event_schema(client)["properties"]["stops"]

    feature = next(one for one in served.model.manifest.features if one.name == "stops")
    assert (stops["x-observed-minimum"], stops["x-observed-maximum"]) == (feature.minimum, feature.maximum)
    assert "Feature 'stops' of the model. In training from 0 to 5." in stops["description"]
    assert stops["examples"][0] in range(6)
    assert stops["maximum"] == 2**31 - 1


def test_an_example_of_the_document_is_answered(client: Client) -> None:
    paths = client.get("/openapi.json").document["paths"]
    for path, operations in paths.items():
        if "post" in operations:
            example = operations["post"]["requestBody"]["content"]["application/json"]["example"]
            assert client.post(path, example).status == 200, path


def test_every_path_of_the_document_is_there(client: Client) -> None:
    paths = client.get("/openapi.json").document["paths"]

    assert [path for path, one in paths.items() if "get" in one and client.get(path).status != 200] == []


@pytest.mark.parametrize(
    ("avro", "expected"),
    [
        ("boolean", {"type": "boolean"}),
        (["null", "string"], {"anyOf": [{"type": "null"}, {"type": "string"}]}),
        ({"type": "array", "items": "string"}, {"type": "array", "items": {"type": "string"}}),
        (
            {"type": "map", "values": "boolean"},
            {"type": "object", "additionalProperties": {"type": "boolean"}},
        ),
        (MONEY, {"type": "string", "pattern": r"^-?[0-9]{1,4}(\.[0-9]{1,2})?$"}),
        ("bytes", {"type": "string", "pattern": "^[\\u0000-\\u00ff]*$"}),
        (
            {"type": "fixed", "name": "Two", "size": 2},
            {"type": "string", "pattern": "^[\\u0000-\\u00ff]*$", "minLength": 2, "maxLength": 2},
        ),
    ],
)
def test_each_avro_type_has_its_form_in_json(served: Scorer, avro: object, expected: Json) -> None:
    fields = [{"name": "a", "type": avro, "doc": "What it is."}]
    schema = parse_schema(json.dumps({"type": "record", "name": "E", "fields": fields}))

    found = event_json_schema(schema, served.model.manifest, None)

    assert found["properties"]["a"] == {**expected, "description": "What it is."}


def test_an_empty_event_is_one_that_the_api_takes() -> None:
    inner = {"type": "record", "name": "In", "fields": [{"name": "at", "type": MILLIS}]}
    kinds = {"money": MONEY, "raw": "bytes", "inner": inner, "all": {"type": "map", "values": "int"}}
    fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
    schema = parse_schema(json.dumps({"type": "record", "name": "E", "fields": fields}))

    event = json.loads(json.dumps(empty_event(schema)))

    assert event == {"money": "0.00", "raw": "", "inner": {"at": "1970-01-01T00:00:00Z"}, "all": {}}
    assert strict_event(schema, event)["raw"] == b""


def test_the_model_is_told_with_its_samples_and_their_answers(client: Client, served: Scorer) -> None:
    card = client.get("/v1/model").document

    assert (card["name"], card["digest"]) == (served.model.manifest.name, served.model.digest)
    assert [one["name"] for one in card["features"]] == ["distance", "stops", "city"]
    assert card["features"][2]["choices"] == ["Bonn", "Jena", "Kiel"]
    assert len(card["samples"]) == 5
    for sample in card["samples"]:
        answered = client.post("/v1/predictions", sample["event"]).document
        assert answered["label"] == sample["answer"]["label"]
        assert answered["score"] == pytest.approx(sample["answer"]["score"], rel=1e-12)
        assert sample["inputs"]["stops"] == str(sample["event"]["stops"])


@pytest.mark.parametrize("path", ["/", "/page/page.css", "/page/page.js", "/page/icon.svg"])
def test_the_page_allows_no_code_and_no_request_but_its_own(client: Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert b"innerHTML" not in answer.content
    assert b"https:" not in answer.content


def test_no_other_file_is_served(client: Client) -> None:
    assert client.get("/page/..%2Fpage.py").status == 404
    assert client.get("/page/other").status == 404


def test_text_that_has_no_utf8_is_quoted_and_fails_nothing(client: Client) -> None:
    answer = client.post("/v1/predictions", b'{"\\ud800": 1}')

    assert answer.status == 422
    assert "\ud800" in answer.document["error"]["message"]
