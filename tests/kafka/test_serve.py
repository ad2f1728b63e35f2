"""A server follows a store or a control topic as workers do, and tells the pipeline what it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lines import Rehearsed
from tests.support.models import said
from tests.support.stage import Stage, listening
from tests.support.worker_process import until
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
