"""`POST /v1/predictions` answers events as `open_package().predict` answers them, in JSON and in Avro."""

from __future__ import annotations

import io
from pathlib import Path

import fastavro
import pytest

import stream_infer
from stream_infer.avro.framing import Framing, head
from stream_infer.packaging.datum import encode_datum
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.row_scorer import RequestLimits
from tests.unit.packaging.workshop import TRIP
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Answer, Client, serving

PATH = "/v1/predictions"
BAD = {"trip_id": "only", "distanse": 1.0}


def without_model(row: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in row.items() if not key.startswith("model_")}


def rows(answer: Answer) -> list[dict[str, object]]:
    return [without_model(row) for row in answer.document["predictions"]]


def test_a_list_of_events_gets_an_answer_each_those_of_open_package(
    client: Client, trip_package: Path
) -> None:
    events = [*EVENTS[:20], BAD, {**EVENTS[0], "city": "Rome"}, {**EVENTS[1], "distance": None}]

    answer = client.post(PATH, events)

    assert answer.status == 200
    assert rows(answer) == stream_infer.open_package(trip_package).predict(events)
    assert [bool(row.get("error")) for row in rows(answer)[-4:]] == [False, True, True, True]


def test_an_answer_names_the_model(client: Client, served: Scorer) -> None:
    answer = client.post(PATH, EVENTS[0])

    manifest = served.model.manifest
    assert answer.status == 200
    assert answer.document["model_name"] == manifest.name
    assert answer.document["model_version"] == manifest.version
    assert answer.document["model_digest"] == served.model.digest


def test_one_bad_event_is_an_error_that_names_the_field(client: Client) -> None:
    answer = client.post(PATH, BAD)

    assert answer.status == 422
    assert answer.document["error"]["stage"] == "decode"
    assert "distanse" in answer.document["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"Obj\x01nothing"])
def test_a_body_that_is_nothing_is_a_bad_request(client: Client, body: bytes) -> None:
    answer = client.post(PATH, body)

    assert answer.status == 400
    assert answer.document["error"]


@pytest.mark.parametrize("document", [None, 1, "x", True])
def test_what_is_no_event_is_refused(client: Client, document: object) -> None:
    assert client.post(PATH, document).status == 422


def test_a_list_without_events_has_no_answers(client: Client) -> None:
    assert client.post(PATH, []).document == {"predictions": []}


def test_avro_in_the_single_object_encoding_is_one_event(client: Client, served: Scorer) -> None:
    datum = encode_datum(served.schema, EVENTS[0])

    answer = client.post(PATH, head(Framing.SINGLE_OBJECT, served.schema) + datum)

    assert answer.document == client.post(PATH, EVENTS[0]).document


def test_avro_of_another_schema_is_a_bad_request(client: Client) -> None:
    answer = client.post(PATH, b"\xc3\x01" + bytes(8) + b"x")

    assert answer.status == 400
    assert "test.Trip" in answer.document["error"]


def test_truncated_avro_is_refused_as_a_worker_refuses_it(client: Client, served: Scorer) -> None:
    answer = client.post(PATH, head(Framing.SINGLE_OBJECT, served.schema) + b"\x02")

    assert answer.status == 422
    assert answer.document["error"]["class"] == "truncated"


def test_an_avro_container_is_a_list(client: Client) -> None:
    file = io.BytesIO()
    fastavro.writer(file, TRIP, EVENTS[:5])

    answer = client.post(PATH, file.getvalue())

    assert answer.document == client.post(PATH, EVENTS[:5]).document


def test_a_request_beyond_a_limit_is_refused_by_name(served: Scorer) -> None:
    with serving(lambda: served, limits=RequestLimits(body_bytes=10_000, rows=3)) as client:
        many = client.post(PATH, EVENTS[:4])
        large = client.post(PATH, b"x" * 20_000)
        still = client.post(PATH, EVENTS[:3])

    assert (many.status, large.status, still.status) == (413, 413, 200)
    assert "the limit is 3" in many.document["error"]
    assert "10000 bytes" in large.document["error"]
