"""A worker, `predict` and a server in each of its encodings give the same answers and the same refusals.

`STREAM_INFER_TEST_PARITY=20000 pytest tests/unit/serving/test_parity.py` tries 20,000 events of each model.
"""

from __future__ import annotations

import io
import json
import math
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import fastavro
import grpc
import numpy as np
import pyarrow as pa
import pytest
from open_inference.grpc import protocol as messages
from open_inference.grpc import service
from sklearn.compose import make_column_transformer
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import stream_infer
from stream_infer.app.serve import load_served
from stream_infer.avro.framing import Framing
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.answer_forms import AVRO_CONTAINER
from stream_infer.serving.arrow_events import ARROW_STREAM
from stream_infer.serving.inference import HEADER_LENGTH
from stream_infer.serving.tensors import DATATYPES, Tensor, to_binary
from stream_infer.steps.scoring.plan import Events
from tests.unit.packaging.workshop import TRIP, Workshop, frame_of, target, trips
from tests.unit.serving.served import Client, serving
from tests.unit.serving.test_forms import rows_of, stream
from tests.unit.steps import world

ROWS = int(os.environ.get("STREAM_INFER_TEST_PARITY", "2000"))
NUMBERS = ["distance", "stops"]
ALL = [*NUMBERS, "night", "city", "colour", "started"]
NULL = "\x00null"
Rows = list[dict[str, Any]]


def prepared(last: Any) -> Any:
    """Return a model of numbers, nulls, strings, a boolean, an enum and a time."""
    encoder = OneHotEncoder(handle_unknown="ignore")
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (encoder, ["city", "colour"]), (numbers, [*NUMBERS, "night", "started"])
    )
    return make_pipeline(columns, last)


def strict(last: Any) -> Any:
    """Return a model that refuses values which it does not know."""
    return make_pipeline(
        make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough"), last
    )


SAMPLE = trips(120)
THREE = [int(event["stops"]) % 3 for event in SAMPLE]
FOREST = RandomForestClassifier(10, random_state=0, max_depth=4)
MODELS: dict[str, tuple[Callable[[], Any], list[str], Any, dict[str, Any]]] = {
    "binary": (lambda: prepared(LogisticRegression()), ALL, target(SAMPLE), {}),
    "multiclass": (lambda: prepared(LogisticRegression()), ALL, THREE, {"class_scores": True}),
    "regressor": (lambda: prepared(LinearRegression()), ALL, [e["stops"] * 2.5 for e in SAMPLE], {}),
    "outlier": (lambda: prepared(IsolationForest(n_estimators=10, random_state=0)), ALL, None, {}),
    "strict": (lambda: strict(LogisticRegression()), ["stops", "night", "colour"], target(SAMPLE), {}),
    "onnx": (lambda: FOREST, ["stops", "night"], THREE, {"runtime": "onnx", "class_scores": True}),
}


@pytest.fixture(scope="module", params=MODELS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    make, columns, labels, options = MODELS[request.param]
    frame = frame_of(SAMPLE, columns)
    shop = Workshop(tmp_path_factory.mktemp(request.param))
    shop.create(make().fit(frame, labels), frame, **options)
    scorer = load_served(shop.package)
    assert scorer.model.manifest.runtime == ("onnx" if request.param == "onnx" else "sklearn")
    assert stream_infer.open_package(shop.package).model.digest == scorer.model.digest
    return scorer


@pytest.fixture
def client(served: Scorer) -> Iterator[Client]:
    with serving(lambda: served, with_grpc=True) as client:
        yield client


def good_events() -> Rows:
    """Return events that a producer can write; some are none that a model answers."""
    rng = np.random.default_rng(3)
    events = trips(ROWS)
    for event in events:
        chance = rng.random()
        if chance < 0.05:
            event["city"] = "Rome"
        elif chance < 0.1:
            event["distance"] = None
        elif chance < 0.12:
            event["distance"] = math.inf
        elif chance < 0.14:
            event["stops"] = -(2**31)
    return events


EVENTS = good_events()
BROKEN: Rows = [
    {"trip_id": "x"},
    {**SAMPLE[0], "stops": 1.5},
    {**SAMPLE[0], "stops": None},
    {**SAMPLE[0], "colour": "PINK"},
    {**SAMPLE[0], "more": 1},
]


def same(found: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> None:
    """Check that answers are equal: errors and labels exactly, numbers up to the rounding of a batch."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.get("error") == other.get("error")
        assert one.get("label") == other.get("label")
        assert near(one.get("score"), other.get("score"))
        assert near(one.get("value"), other.get("value"))
        by_class, expected_by_class = (row.get("class_scores") or {} for row in (one, other))
        assert by_class.keys() == expected_by_class.keys()
        assert all(near(by_class[name], expected_by_class[name]) for name in by_class)


def near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)


@pytest.fixture(scope="module")
def expected(served: Scorer) -> Rows:
    """Return the answers of `predict` to the events."""
    return served.predict(EVENTS)


def test_there_are_answers_and_refusals_to_compare(expected: Rows, served: Scorer) -> None:
    refused = sum("error" in one for one in expected)

    assert len(expected) - refused > 0
    if "distance" in {feature.name for feature in served.model.manifest.features}:
        assert refused


def test_a_worker_answers_alike(served: Scorer, expected: Rows) -> None:
    scoring = world.score(served.model, events=Events(Framing.NONE, [served.schema]))
    outcome = scoring(world.batch([world.datum(event, served.schema) for event in EVENTS]))

    answers: dict[int, dict[str, Any]] = {
        one.row: {"error": {"stage": str(one.stage), "class": one.error_class, "message": one.message}}
        for one in outcome.rejected
    }
    answered = iter(world.predictions(outcome))
    answers |= {row: next(answered) for row in range(len(EVENTS)) if row not in answers}
    same([answers[row] for row in range(len(EVENTS))], expected)


@pytest.mark.parametrize("accept", ["application/json", AVRO_CONTAINER, ARROW_STREAM])
def test_events_in_json_avro_and_arrow_are_answered_alike(
    client: Client, expected: Rows, accept: str
) -> None:
    finite = [one for one in range(len(EVENTS)) if EVENTS[one]["distance"] != math.inf]
    container = io.BytesIO()
    fastavro.writer(container, TRIP, EVENTS)
    table = pa.Table.from_pylist([{**event, "driver": None} for event in EVENTS])
    columns = {name: table.column(name) for name in table.column_names if name != "driver"}
    bodies: list[tuple[Any, Rows]] = [
        ([EVENTS[row] for row in finite], [expected[row] for row in finite]),
        (container.getvalue(), expected),
        (stream(pa.table(columns)), expected),
    ]

    for body, answers in bodies:
        same(rows_of(client.post("/v1/predictions", body, {"accept": accept})), answers)


def test_events_that_no_producer_can_write_are_refused_alike(client: Client, served: Scorer) -> None:
    events = [BROKEN[0], EVENTS[0], *BROKEN[1:], EVENTS[1]]

    same(rows_of(client.post("/v1/predictions", events)), served.predict(events))


def tensors(served: Scorer) -> list[Tensor]:
    """Return the tensors of the events; null is NaN, or the text `NULL`."""
    found = []
    for feature in served.model.manifest.features:
        values = [event[feature.source] for event in EVENTS]
        datatype, parameters = DATATYPES[feature.type], {}
        if datatype == "BYTES":
            values = [NULL if one is None else one for one in values]
            parameters = {"null_value": NULL}
        elif datatype == "FP64":
            values = [math.nan if one is None else one for one in values]
        found.append(Tensor(feature.name, datatype, (len(values),), values, parameters))
    return found


def v2_rows(outputs: dict[str, Any], errors: str | None, served: Scorer) -> Rows:
    """Return the answers in the tensors of an answer as rows."""
    refused = {one.pop("row"): {"error": one} for one in json.loads(errors or "[]")}
    classes = served.model.manifest.output.classes
    rows = []
    for at in range(len(EVENTS)):
        row = {name: data[at] for name, data in outputs.items() if name != "class_scores"}
        if "class_scores" in outputs:
            row["class_scores"] = dict(zip(classes, outputs["class_scores"][at], strict=True))
        rows.append(refused.get(at, row))
    return rows


def shaped(name: str, data: Any, shape: Sequence[int]) -> Any:
    return np.reshape(np.asarray(data, dtype=object if name == "label" else float), shape).tolist()


def described(tensor: Tensor) -> dict[str, Any]:
    head = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    return {**head, "parameters": dict(tensor.parameters)}


def test_tensors_in_json_are_answered_alike(client: Client, served: Scorer, expected: Rows) -> None:
    inputs = [{**described(one), "data": list(one.data)} for one in tensors(served)]
    body = {"inputs": inputs, "parameters": {"partial": True}}

    answer = client.post(f"/v2/models/{served.model.manifest.name}/infer", body).document

    outputs = {one["name"]: shaped(one["name"], one["data"], one["shape"]) for one in answer["outputs"]}
    same(v2_rows(outputs, answer.get("parameters", {}).get("errors"), served), expected)


def texts_in(data: bytes) -> list[str]:
    found, at = [], 0
    while at < len(data):
        [size] = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size].decode())
        at += 4 + size
    return found


def from_binary(name: str, datatype: str, shape: Sequence[int], data: bytes) -> Any:
    return shaped(name, texts_in(data) if datatype == "BYTES" else np.frombuffer(data, "<f8"), shape)


def test_tensors_in_binary_are_answered_alike(client: Client, served: Scorer, expected: Rows) -> None:
    parts = [to_binary(one) for one in tensors(served)]
    inputs = [described(one) for one in tensors(served)]
    for one, part in zip(inputs, parts, strict=True):
        one["parameters"]["binary_data_size"] = len(part)
    head = json.dumps(
        {"inputs": inputs, "parameters": {"partial": True, "binary_data_output": True}}
    ).encode()

    answer = client.post(
        f"/v2/models/{served.model.manifest.name}/infer",
        head + b"".join(parts),
        {HEADER_LENGTH: str(len(head))},
    )

    size = int(answer.headers[HEADER_LENGTH])
    document, at, outputs = json.loads(answer.content[:size]), size, {}
    for one in document["outputs"]:
        end = at + one["parameters"]["binary_data_size"]
        outputs[one["name"]] = from_binary(one["name"], one["datatype"], one["shape"], answer.content[at:end])
        at = end
    same(v2_rows(outputs, document.get("parameters", {}).get("errors"), served), expected)


def test_tensors_over_grpc_are_answered_alike(client: Client, served: Scorer, expected: Rows) -> None:
    given = tensors(served)
    request = messages.ModelInferRequest(
        model_name=served.model.manifest.name,
        inputs=[{"name": one.name, "datatype": one.datatype, "shape": list(one.shape)} for one in given],
        raw_input_contents=[to_binary(one) for one in given],
    )
    for one, tensor in zip(request.inputs, given, strict=True):
        for name, value in tensor.parameters.items():
            one.parameters[name].string_param = value
    request.parameters["partial"].bool_param = True

    with grpc.insecure_channel(
        f"127.0.0.1:{client.grpc_port}", options=[("grpc.max_receive_message_length", -1)]
    ) as channel:
        answer = service.GRPCInferenceServiceStub(channel).ModelInfer(request)

    outputs = {
        one.name: from_binary(one.name, one.datatype, list(one.shape), data)
        for one, data in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
    errors = answer.parameters["errors"].string_param if "errors" in answer.parameters else None
    same(v2_rows(outputs, errors, served), expected)
