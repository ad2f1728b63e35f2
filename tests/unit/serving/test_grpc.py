"""The Open Inference Protocol over gRPC: the answers of REST, its limits and its tokens."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from open_inference.grpc import protocol as messages
from open_inference.grpc import service

from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.access import TokenFile
from stream_infer.serving.row_scorer import RequestLimits
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Client, serving
from tests.unit.serving.test_answering import samples

Stub = Any


@pytest.fixture
def both(served: Scorer) -> Iterator[tuple[Client, Stub]]:
    """Return clients of HTTP and gRPC of one server."""
    with serving(lambda: served, with_grpc=True) as client, channel(client) as stub:
        yield client, stub


class channel:  # noqa: N801 - a context manager
    def __init__(self, client: Client) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{client.grpc_port}")

    def __enter__(self) -> Stub:
        return service.GRPCInferenceServiceStub(self._channel)

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def asked(events: list[dict[str, Any]], *, raw: bool = False, **more: Any) -> Any:
    """Return a request with typed contents, or with raw ones."""
    columns = {name: [event[name] for event in events] for name in ("distance", "stops", "city")}
    texts = [one.encode() for one in columns["city"]]
    shape = [len(events)]
    request = messages.ModelInferRequest(
        model_name="trips",
        inputs=[
            {"name": "distance", "datatype": "FP64", "shape": shape},
            {"name": "stops", "datatype": "INT32", "shape": shape},
            {"name": "city", "datatype": "BYTES", "shape": shape},
        ],
        **more,
    )
    if raw:
        request.raw_input_contents.append(np.array(columns["distance"], "<f8").tobytes())
        request.raw_input_contents.append(np.array(columns["stops"], "<i4").tobytes())
        request.raw_input_contents.append(b"".join(struct.pack("<I", len(one)) + one for one in texts))
    else:
        request.inputs[0].contents.fp64_contents.extend(columns["distance"])
        request.inputs[1].contents.int_contents.extend(columns["stops"])
        request.inputs[2].contents.bytes_contents.extend(texts)
    return request


def numbers(answer: Any, name: str) -> list[float]:
    place = [one.name for one in answer.outputs].index(name)
    return np.frombuffer(answer.raw_output_contents[place], "<f8").tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("raw", [False, True], ids=["typed", "raw"])
def test_the_answers_are_those_to_events(both: tuple[Client, Stub], *, raw: bool) -> None:
    client, stub = both
    events = client.post("/v1/predictions", EVENTS[:9]).document["predictions"]

    answer = stub.ModelInfer(asked(EVENTS[:9], raw=raw, id="seven"))

    assert (answer.id, answer.model_name, answer.model_version) == ("seven", "trips", "1.2.0")
    assert numbers(answer, "score") == [event["score"] for event in events]
    assert list(answer.outputs[2].shape) == [9, 2]
    assert numbers(answer, "class_scores") == [s for event in events for s in event["class_scores"].values()]


def test_server_and_model_describe_themselves_as_over_rest(both: tuple[Client, Stub]) -> None:
    client, stub = both
    described = stub.ModelMetadata(messages.ModelMetadataRequest(name="trips", version="1.2.0"))

    assert stub.ServerLive(messages.ServerLiveRequest()).live
    assert stub.ServerReady(messages.ServerReadyRequest()).ready
    assert stub.ServerMetadata(messages.ServerMetadataRequest()).name == client.get("/v2").document["name"]
    assert stub.ModelReady(messages.ModelReadyRequest(name="trips")).ready
    plain = client.get("/v2/models/trips").document
    assert [one.name for one in described.inputs] == [one["name"] for one in plain["inputs"]]
    assert [list(one.shape) for one in described.outputs] == [one["shape"] for one in plain["outputs"]]


def test_the_wanted_outputs_and_the_good_rows_are_answered(both: tuple[Client, Stub]) -> None:
    _, stub = both
    events = [{**EVENTS[1], "city": "Rome"}, EVENTS[0]]
    request = asked(events, outputs=[{"name": "score"}])
    request.parameters["partial"].bool_param = True

    answer = stub.ModelInfer(request)

    assert [one.name for one in answer.outputs] == ["score"]
    assert [np.isnan(one) for one in numbers(answer, "score")] == [True, False]
    [error] = json.loads(answer.parameters["errors"].string_param)
    assert (error["row"], error["stage"]) == (0, "validate")


def refused(stub: Stub, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(request)
    return error.value.code().name, error.value.details()  # type: ignore[attr-defined]


def test_a_wrong_request_is_named(both: tuple[Client, Stub]) -> None:
    client, stub = both
    bad, other, cut, negative = (asked(EVENTS[:2]) for _ in range(4))
    bad.inputs[0].datatype = "FP16"
    other.model_version = "9"
    cut.raw_input_contents.append(b"123")
    negative.inputs[0].shape[0] = -1
    city = asked([{**EVENTS[0], "city": "Rome"}])

    assert refused(stub, bad) == ("INVALID_ARGUMENT", refused(stub, bad)[1])
    assert "FP16" in refused(stub, bad)[1]
    assert refused(stub, other) == ("NOT_FOUND", "there is no model trips 9; trips 1.2.0 serves")
    assert refused(stub, cut) == ("INVALID_ARGUMENT", "1 raw contents for 3 inputs")
    assert "negative" in refused(stub, negative)[1]
    assert refused(stub, city)[1].startswith("row 0: ")
    assert samples(client)["request_duration_seconds_count", ("grpc_ModelInfer", "NOT_FOUND")] == 1


def test_limits_of_rows_and_bytes_hold(served: Scorer) -> None:
    limits = RequestLimits(rows=3, body_bytes=2_000)
    with serving(lambda: served, limits=limits, with_grpc=True) as client, channel(client) as stub:
        assert refused(stub, asked(EVENTS[:4]))[0] == "RESOURCE_EXHAUSTED"
        assert refused(stub, asked(EVENTS * 20))[0] == "RESOURCE_EXHAUSTED"
        assert len(numbers(stub.ModelInfer(asked(EVENTS[:3])), "score")) == 3


def test_a_token_is_asked_for(served: Scorer, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("a-token-of-these-tests")
    admits = TokenFile(file).admits
    with serving(lambda: served, admits=admits, with_grpc=True) as client, channel(client) as stub:
        allowed = (("authorization", "Bearer a-token-of-these-tests"),)

        assert stub.ServerLive(messages.ServerLiveRequest()).live
        assert refused(stub, asked(EVENTS[:1]))[0] == "UNAUTHENTICATED"
        assert stub.ModelInfer(asked(EVENTS[:1]), metadata=allowed).model_name == "trips"
