"""NVIDIA's client works with its defaults, over HTTP and gRPC."""

from __future__ import annotations

import json

import pytest

from stream_infer.packaging.scorer import Scorer
from tests.clients.conftest import EVENTS, Run
from tests.unit.serving.served import serving

COLUMNS = [[event[name] for event in EVENTS[:9]] for name in ("distance", "stops", "city")]


@pytest.mark.parametrize("program", ["triton_http.py", "triton_grpc.py"])
def test_its_answers_are_those_to_events(served: Scorer, run: Run, program: str) -> None:
    manifest = served.model.manifest
    with serving(lambda: served, with_grpc=True) as client:
        port = client.grpc_port if "grpc" in program else client.port
        found = run(program, f"127.0.0.1:{port}", manifest.name, manifest.version, json.dumps(COLUMNS))

    events = served.predict(EVENTS[:9])
    assert found["live"] is found["ready"] is True
    assert found["extensions"] == ["binary_tensor_data"]
    assert found["id"] == "seven"
    assert found["label"] == [event["label"] for event in events]
    assert found["score"] == pytest.approx([event["score"] for event in events], rel=1e-12)
    assert found["chosen"] == ["score"]
    assert "input 'stops' is missing" in found["refused"]
