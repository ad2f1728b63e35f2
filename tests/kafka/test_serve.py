"""A server follows a store or a control topic as workers do, and tells the pipeline what it serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader
from stream_infer.avro.topic_schemas import topic_schema
from tests.support.lines import Rehearsed
from tests.support.log import read_all
from tests.support.models import said
from tests.support.stage import Stage, listening
from tests.support.worker_process import Worker, until
from tests.unit.cli.test_serve import client_of, serve


@pytest.mark.parametrize("follow", ["store", "topic"])
def test_it_serves_what_is_promoted_and_announces_it_with_the_time(
    lines: Stage, two_lines: Rehearsed, follow: str
) -> None:
    model = {"follow": "topic", "control_topic": lines.topics["control"]} if follow == "topic" else {}
    config = lines.config("0", **model)

    def promote(package: Path) -> None:
        assert said("model", "promote", package, "-c", config).exit_code == 0

    promote(two_lines.packages[0])
    with serve("-c", str(config), "--port", "0") as process, listening(lines) as told:
        client = client_of(process)
        until("the first one is announced", told.says("model.activated", 1))
        promote(two_lines.packages[1])
        until("the second one is announced", told.says("model.activated", 2))
        answer = client.post("/v1/predictions", {"x": 2.0, "y": 0.0}).document
        [worker] = said("model", "status", "-c", config, "--json").document["workers"]
        first, second = (told.events("model.activated", generation)[0] for generation in (1, 2))
        process.terminate()
        code = process.wait(60)

    assert (answer["model_version"], answer["value"]) == ("2.0.0", 4.0)
    assert (worker["instance"], worker["state"], worker["model_version"]) == ("serve-0", "serving", "2.0.0")
    assert first["ranges"] == second["ranges"] == []
    assert first["time"] < second["time"]
    assert second["model"]["from_version"] == "1.0.0"
    assert second["instance"] == "serve-0"
    assert code == 0


FRAMES = RecordReader(topic_schema("ObservationFrame"), Framing.NONE)
EVENTS = RecordReader(topic_schema("MonitoringEvent"), Framing.NONE)


def read(stage: Stage, topic: str, reader: RecordReader) -> list[dict[str, Any]]:
    return [reader.read(one.value or b"") for one in read_all(stage.bootstrap, stage.topics[topic])]


def test_the_monitor_tells_that_what_is_asked_over_http_has_moved(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[..., Worker]
) -> None:
    lines.promote(two_lines.packages[0])
    rng = np.random.default_rng(7)
    start_worker(lines.config("monitor"), "--role", "monitor")
    with serve("-c", str(lines.config("0")), "--port", "0") as process:
        client = client_of(process)
        for mean in [0.0] * 16 + [3.0] * 12:
            rows = [{"x": float(x), "y": float(y)} for x, y in rng.normal((mean, 0), 1, (800, 2))]
            assert client.post("/v1/predictions", rows).status == 200
        until("the drift", lambda: any(map(_is_drift_of_x, read(lines, "monitoring", EVENTS))))
        process.terminate()
        assert process.wait(60) == 0

    frames = read(lines, "observations", FRAMES)
    assert {frame["source_topic"] for frame in frames} == {"serve/0"}
    assert sum(frame["records"] for frame in frames) == 28 * 800


def _is_drift_of_x(event: dict[str, Any]) -> bool:
    return event["type"] == "drift.detected" and "mean of feature 'x'" in event["summary"]
