"""NVIDIA's client works with its defaults, over HTTP."""

from __future__ import annotations

import json

import pytest

from stream_infer.packaging.scorer import Scorer
from tests.clients.conftest import EVENTS, Run
from tests.unit.serving.served import Client

COLUMNS = [[event[name] for event in EVENTS[:9]] for name in ("distance", "stops", "city")]


def test_its_answers_over_http_are_those_to_events(client: Client, served: Scorer, run: Run) -> None:
    manifest = served.model.manifest
    address = f"127.0.0.1:{client.port}"

    found = run("triton_http.py", address, manifest.name, manifest.version, json.dumps(COLUMNS))

    events = served.predict(EVENTS[:9])
    assert found["live"] is found["ready"] is True
    assert found["extensions"] == ["binary_tensor_data"]
    assert found["id"] == "seven"
    assert found["label"] == [event["label"] for event in events]
    assert found["score"] == pytest.approx([event["score"] for event in events], rel=1e-12)
    assert [one["name"] for one in found["chosen"]] == ["score"]
    assert found["chosen"][0]["data"] == found["score"]
    assert "input 'stops' is missing" in found["refused"]
