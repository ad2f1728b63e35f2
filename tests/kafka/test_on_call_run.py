"""An incident and the person on call, with the worker, the monitor, the broker and the commands of users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.drift_streams import lose
from stream_infer.flow.errors import Misconfigured
from tests.conftest import Topics
from tests.support.broker import Broker
from tests.support.drifting import made, make_material, send
from tests.support.events import Framing
from tests.support.models import said
from tests.support.package import Package
from tests.support.pipeline import Pipeline
from tests.support.watched import Watched, everything, watch
from tests.support.worker_process import Worker, until

HEALTHY, BROKEN = 4_000, 6_000
NULLS = "null rate of feature 'normal_9'"


@pytest.fixture
def watched(broker: Broker, topics: Topics, tmp_path: Path) -> Watched:
    material = make_material(tmp_path, seed=1_001)
    source = topics("shop.orders", 1)
    line = Pipeline(
        name=source.replace("orders", "on-call"),
        framing=Framing.NONE,
        bootstrap=broker.bootstrap,
        input=source,
        predictions=topics("shop.predictions", 1),
        dead_letters=topics("dlq.shop", 1),
        package=Package(material.package, tmp_path, tmp_path),
        folder=tmp_path,
    )
    return watch(line, topics)


def config_of(watched: Watched) -> Path:
    source = {
        "topics": [watched.line.input],
        "framing": "none",
        "schema": str(watched.line.folder / "event.avsc"),
    }
    monitoring = {
        "topic": watched.monitoring,
        "observations_topic": watched.observations,
        "state_topic": watched.state,
        "remind_every": "1s",
        "heartbeat_every": "1s",
    }
    output = {"topic": watched.line.predictions}
    config = watched.config("w", input=source, output=output, monitoring=monitoring)
    lines = config.read_text("utf-8").splitlines()
    unwanted = ("event_time", '"event_time"', '"copy"')
    config.write_text("\n".join(line for line in lines if not line.startswith(unwanted)) + "\n", "utf-8")
    return config


def test_an_incident_is_acknowledged_silenced_told_again_and_accepted(watched: Watched) -> None:
    line, config = watched.line, config_of(watched)
    sent = 0

    def feed(count: int, share: float, seed: int, command: Worker) -> None:
        nonlocal sent
        changes = [lose(share)] if share else []
        send(line.bootstrap, line.input, {0: made(count, changes, seed=seed)})
        sent += count
        until("monitored", lambda: watched.remembered() == sent, command)

    def of(kind: str, **facts: str) -> list[dict[str, Any]]:
        return [
            one
            for one in watched.events()
            if one["type"] == kind and facts.items() <= one["attributes"].items()
        ]

    def listed() -> list[dict[str, Any]]:
        return said("events", "-c", config, "--open", "--json").documents

    def incident(action: str, *options: str) -> str:
        return said("incident", action, incident_id[:8], "-c", config, "--by", "ann", *options).out

    with everything(config, "--role", "all") as (command, _children):
        feed(HEALTHY, 0, 1, command)
        feed(BROKEN, 0.6, 2, command)
        until("an incident", lambda: len(of("drift.detected", state="open")) == 1, command)
        incident_id = of("drift.detected")[0]["incident_id"]
        [shown] = listed()
        assert (shown["id"], shown["severity"], shown["status"]) == (incident_id, "critical", "open")
        assert NULLS in shown["members"]
        until("reminders", lambda: len(of("incident.reminder", cause="interval")) >= 2, command)
        assert "is acknowledged" in incident("acknowledge", "--reason", "I look")
        until("a reply", lambda: len(of("incident.reply", action="acknowledge", result="done")) == 1, command)
        assert command.terminate() == 0

    with everything(config, "--role", "all") as (command, _children):
        assert [one["acknowledged_by"] for one in listed()] == ["ann"]
        reminders = len(of("incident.reminder"))
        beats = len(of("heartbeat"))
        until("the monitor lives", lambda: len(of("heartbeat")) >= beats + 3, command)
        assert len(of("incident.reminder")) == reminders
        assert "is silenced" in incident("silence", "--for", "3s")
        assert [one["status"] for one in listed()] == ["silenced"]
        until("told", lambda: len(of("incident.reminder", cause="silence_ended")) == 1, command)
        incident("accept", "--reason", "a new form")
        until("accepted", lambda: of("drift.resolved", ending="accepted") != [], command)
        assert listed() == []
        feed(BROKEN, 0.6, 3, command)
        assert command.terminate() == 0

    assert len(of("drift.detected", state="open")) == 1
    text = said("events", "-c", config).out
    assert "is accepted as the new normal by ann: a new form" in text
    assert "heartbeat" not in text
    assert "heartbeat" in said("events", "-c", config, "--all").out
    with pytest.raises(Misconfigured, match="is over"):
        incident("acknowledge")
    again = said("backtest", "-c", config, "--json").document
    of_log = [one["id"] for one in watched.events() if one["attributes"].get("state") is not None]
    assert [one["id"] for one in again["events"] if one["attributes"].get("state") is not None] == of_log
