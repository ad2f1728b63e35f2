"""A server measures its requests, hands trace contexts back, and logs no payload."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream_infer.packaging.scorer import Scorer
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Client, serving

PATH = "/v1/predictions"
TRACE = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}
BAD = {"trip_id": "only", "distanse": 1.0}


class Breaks:
    """Raises an error that quotes its input."""

    def decode(self, values: object) -> object:
        raise KeyError(f"payload {values!r}")


@pytest.fixture
def broken(served: Scorer) -> Scorer:
    return replace(served, plan=replace(served.plan, decoder=Breaks()))  # type: ignore[arg-type]


def samples(client: Client) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return what a scrape sees: (name, values of the labels but pipeline and le) -> value."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").content.decode()):
        for sample in family.samples:
            labels = tuple(
                value for key, value in sorted(sample.labels.items()) if key not in ("pipeline", "le")
            )
            found[sample.name.removeprefix("stream_infer_"), labels] = sample.value
    return found


def test_rows_are_counted_as_the_stream_counts_records(client: Client, served: Scorer) -> None:
    client.post(PATH, [*EVENTS[:5], BAD])
    client.post(PATH, BAD)

    seen, version = samples(client), served.model.manifest.version
    assert seen["events_consumed_total", ()] == 7
    assert seen["predictions_total", (version,)] == 5
    assert seen["records_failed_total", ("invalid", "decode")] == 2
    assert seen["batch_records_sum", ()] == 5
    assert seen["stage_duration_seconds_count", ("step",)] == 1


def test_requests_are_measured_by_endpoint_and_status(client: Client) -> None:
    client.post(PATH, EVENTS[:2])
    client.post(PATH, b"{")
    client.get("/v2/models/other")

    seen = samples(client)
    assert seen["request_duration_seconds_count", ("predictions", "200")] == 1
    assert seen["request_duration_seconds_count", ("predictions", "400")] == 1
    assert seen["request_duration_seconds_count", ("metadata", "404")] == 1
    assert seen["queue_duration_seconds_count", ()] == 1
    assert seen["requests_in_flight", ()] == 0
    assert seen["queue_records", ()] == 0


def test_the_model_that_serves_is_named(client: Client, served: Scorer) -> None:
    manifest = served.model.manifest

    labels = served.model.digest, manifest.name, manifest.runtime, manifest.version
    assert samples(client)["model_info", labels] == 1


@pytest.mark.parametrize("body", [EVENTS[0], b"{"], ids=["answered", "refused"])
def test_the_trace_context_is_handed_back(client: Client, body: object) -> None:
    headers = client.post(PATH, body, TRACE).headers

    assert {name: headers[name] for name in TRACE} == TRACE


@pytest.mark.parametrize(
    ("trace", "logged"), [(TRACE["traceparent"], TRACE["traceparent"]), ("secret", None), (None, None)]
)
def test_a_fault_is_logged_with_its_place_and_without_payload(
    broken: Scorer, caplog: pytest.LogCaptureFixture, trace: str | None, logged: str | None
) -> None:
    event = {**EVENTS[0], "city": "secret"}

    with serving(lambda: broken) as client:
        answer = client.post(PATH, event, {"traceparent": trace} if trace else None)

    assert answer.status == 500
    assert "secret" not in answer.content.decode()
    [said] = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert said.msg == "request failed"
    assert said.__dict__["reason"].startswith("KeyError in decode (test_answering.py:")
    assert said.__dict__["traceparent"] == logged
    assert "secret" not in json.dumps(said.__dict__, default=str)
