"""The Open Inference Protocol (v2): the same answers, in tensors."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.inference import HEADER_LENGTH
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Client

Json = dict[str, Any]


def tensor(name: str, datatype: str, data: list[Any], **parameters: object) -> Json:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data, "parameters": parameters}


def asked(events: list[Json], **more: object) -> Json:
    return {
        "inputs": [
            tensor("distance", "FP64", [event["distance"] for event in events]),
            tensor("stops", "INT32", [event["stops"] for event in events]),
            tensor("city", "BYTES", [event["city"] for event in events]),
        ],
        **more,
    }


@pytest.fixture
def model(served: Scorer) -> str:
    return f"/v2/models/{served.model.manifest.name}"


def outputs(document: Json) -> dict[str, Json]:
    return {one["name"]: one for one in document["outputs"]}


def test_the_answers_are_those_to_events(client: Client, model: str) -> None:
    events = client.post("/v1/predictions", EVENTS[:9]).document["predictions"]

    answer = client.post(f"{model}/infer", asked(EVENTS[:9], id="seven"))

    found = outputs(answer.document)
    assert answer.status == 200
    assert answer.document["id"] == "seven"
    assert found["label"]["data"] == [event["label"] for event in events]
    assert found["score"]["data"] == [event["score"] for event in events]
    assert found["class_scores"]["shape"] == [9, 2]
    assert found["class_scores"]["data"] == [s for event in events for s in event["class_scores"].values()]


def test_the_model_is_described_by_its_tensors(client: Client, model: str, served: Scorer) -> None:
    version = served.model.manifest.version

    described = client.get(model).document

    assert described["versions"] == [version]
    assert [(one["name"], one["datatype"]) for one in described["inputs"]] == [
        ("distance", "FP64"),
        ("stops", "INT32"),
        ("city", "BYTES"),
    ]
    assert client.get(f"{model}/versions/{version}").document == described
    assert client.get(f"{model}/ready").status == 200


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/livez", "/readyz"])
def test_the_server_tells_of_itself(client: Client, path: str) -> None:
    assert client.get(path).status == 200


def test_another_model_or_version_is_not_found(client: Client, model: str) -> None:
    assert client.get("/v2/models/other").status == 404
    answer = client.post(f"{model}/versions/9/infer", asked(EVENTS[:1]))
    assert answer.status == 404
    assert "9" in answer.document["error"]


def test_only_the_wanted_outputs_are_answered(client: Client, model: str) -> None:
    answer = client.post(f"{model}/infer", asked(EVENTS[:2], outputs=[{"name": "score"}]))

    assert list(outputs(answer.document)) == ["score"]


def test_a_bad_row_is_an_error_that_names_it(client: Client, model: str) -> None:
    events = [EVENTS[0], {**EVENTS[1], "city": "Rome"}]

    answer = client.post(f"{model}/infer", asked(events))

    assert answer.status == 400
    assert answer.document["error"].startswith("row 1: ")
    assert "city" in answer.document["error"]


def test_a_partial_answer_has_the_good_rows_and_the_errors(client: Client, model: str) -> None:
    events = [{**EVENTS[1], "city": "Rome"}, EVENTS[0]]
    good = client.post(f"{model}/infer", asked(EVENTS[:1])).document

    answer = client.post(f"{model}/infer", asked(events, parameters={"partial": True}))

    found = outputs(answer.document)
    assert found["label"]["data"][0] == ""
    assert found["score"]["data"] == [None, outputs(good)["score"]["data"][0]]
    [error] = json.loads(answer.document["parameters"]["errors"])
    assert (error["row"], error["stage"]) == (0, "validate")


def test_nulls_are_nan_or_the_null_value(client: Client, model: str) -> None:
    document = asked(EVENTS[:2])
    document["inputs"][0]["data"][0] = float("nan")
    document["inputs"][2] = tensor("city", "BYTES", [EVENTS[0]["city"], "-"], null_value="-")

    answer = client.post(f"{model}/infer", {**document, "parameters": {"partial": True}})

    errors = json.loads(answer.document["parameters"]["errors"])
    assert [(error["row"], error["class"]) for error in errors] == [(0, "missing"), (1, "missing")]


def test_tensors_in_binary_get_binary_answers(client: Client, model: str) -> None:
    texts = [event["city"].encode() for event in EVENTS[:3]]
    parts = [
        np.array([event["distance"] for event in EVENTS[:3]], "<f8").tobytes(),
        np.array([event["stops"] for event in EVENTS[:3]], "<i4").tobytes(),
        b"".join(struct.pack("<I", len(text)) + text for text in texts),
    ]
    document = asked(EVENTS[:3], parameters={"binary_data_output": True})
    for described, part in zip(document["inputs"], parts, strict=True):
        described.pop("data")
        described["parameters"] = {"binary_data_size": len(part)}
    head = json.dumps(document).encode()
    plain = outputs(client.post(f"{model}/infer", asked(EVENTS[:3])).document)

    answer = client.post(f"{model}/infer", head + b"".join(parts), {HEADER_LENGTH: str(len(head))})

    size = int(answer.headers[HEADER_LENGTH])
    described = json.loads(answer.content[:size])["outputs"]
    sizes = {one["name"]: one["parameters"]["binary_data_size"] for one in described}
    score = np.frombuffer(answer.content[size + sizes["label"] :][: sizes["score"]], "<f8")
    assert score.tolist() == plain["score"]["data"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda inputs: inputs.pop(), "'city' is missing"),
        (lambda inputs: inputs[0].update(name="distanse"), "no input 'distanse'"),
        (lambda inputs: inputs[0].update(datatype="FP16"), "FP16"),
        (lambda inputs: inputs[0].update(datatype="BYTES"), "does not fit double"),
        (lambda inputs: inputs[0].update(shape=[2]), "do not fill the shape"),
        (lambda inputs: inputs[0].update(shape=[-1]), "no list of whole numbers"),
        (lambda inputs: inputs[0].update(data=["x"]), "'distance'"),
        (lambda inputs: inputs[0].update(data=None), "no data"),
        (lambda inputs: inputs[1].update(data=[2**40]), "'stops'"),
        (lambda inputs: inputs[0].update(parameters={"binary_data_size": 99}), "not in the body"),
        (lambda inputs: inputs.append(3), "not an object"),
        (lambda inputs: inputs.append(inputs[0]), "given twice"),
        (lambda inputs: inputs[0].update(parameters=[1]), "input 'distance': the parameters are no object"),
        (lambda inputs: inputs[2].update(data=["\ud800"]), "'city'"),
    ],
)
def test_a_wrong_tensor_is_named(client: Client, model: str, change: Any, named: str) -> None:
    document = asked(EVENTS[:1])
    change(document["inputs"])

    answer = client.post(f"{model}/infer", document)

    assert answer.status == 400
    assert named in answer.document["error"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"parameters": "x"}, "the request: the parameters are no object"),
        ({"id": 3}, "the id is no text"),
        ({"outputs": "score"}, "the outputs are no list"),
        ({"outputs": [{"name": []}]}, "there is no output"),
        ({"outputs": [{"name": "score", "parameters": 1}]}, "output 'score': the parameters are no object"),
    ],
)
def test_a_wrong_part_of_a_request_is_named(client: Client, model: str, changed: Json, named: str) -> None:
    answer = client.post(f"{model}/infer", asked(EVENTS[:1], **changed))

    assert answer.status == 400
    assert named in answer.document["error"]


@pytest.mark.parametrize("document", [[], {}, {"inputs": 1}, {"inputs": [None]}, 3, "x"])
def test_a_document_of_another_form_is_a_bad_request(client: Client, model: str, document: object) -> None:
    assert client.post(f"{model}/infer", document).status == 400
