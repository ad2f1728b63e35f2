"""An incident and the person on call, with the worker, the monitor, the broker and the commands of users."""

from __future__ import annotations

from dataclasses import dataclass
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


def config_of(watched: Watched, **more: str) -> Path:
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
        **more,
    }
    output = {"topic": watched.line.predictions}
    config = watched.config("w", input=source, output=output, monitoring=monitoring)
    lines = config.read_text("utf-8").splitlines()
    unwanted = ("event_time", '"event_time"', '"copy"')
    config.write_text("\n".join(line for line in lines if not line.startswith(unwanted)) + "\n", "utf-8")
    return config


@dataclass
class Person:
    """The person on call: what they see of a pipeline, and what they say."""

    watched: Watched
    config: Path
    sent: int = 0

    def feed(self, count: int, share: float, seed: int, command: Worker) -> None:
        """Send events, a share of them without a feature, and wait until the monitor has seen them."""
        line = self.watched.line
        send(line.bootstrap, line.input, {0: made(count, [lose(share)] if share else [], seed=seed)})
        self.sent += count
        until("monitored", lambda: self.watched.remembered() == self.sent, command)

    def events(self, kind: str, **facts: str) -> list[dict[str, Any]]:
        """Return the events of a type with these attributes."""
        of_type = [one for one in self.watched.events() if one["type"] == kind]
        return [one for one in of_type if facts.items() <= one["attributes"].items()]

    def listed(self) -> list[dict[str, Any]]:
        """Return what `events --open` lists."""
        return said("events", "-c", self.config, "--open", "--json").documents

    def say(self, action: str, *options: str) -> str:
        """Say something about the first incident; return what is printed."""
        [opened] = self.events("drift.detected", state="open")
        name = opened["incident_id"][:8]
        return said("incident", action, name, "-c", self.config, "--by", "ann", *options).out


def test_an_incident_is_acknowledged_silenced_told_again_and_accepted(watched: Watched) -> None:
    person = Person(watched, config_of(watched))

    with everything(person.config, "--role", "all") as (command, _children):
        person.feed(HEALTHY, 0, 1, command)
        person.feed(BROKEN, 0.6, 2, command)
        until("an incident", lambda: person.events("drift.detected", state="open") != [], command)
        [shown] = person.listed()
        assert (shown["severity"], shown["status"]) == ("critical", "open")
        assert NULLS in shown["members"]
        until("reminders", lambda: len(person.events("incident.reminder", cause="interval")) >= 2, command)
        assert "is acknowledged" in person.say("acknowledge", "--reason", "I look")
        until("a reply", lambda: person.events("incident.reply", action="acknowledge") != [], command)
        assert command.terminate() == 0

    with everything(person.config, "--role", "all") as (command, _children):
        assert [one["acknowledged_by"] for one in person.listed()] == ["ann"]
        reminders, beats = (len(person.events(kind)) for kind in ("incident.reminder", "heartbeat"))
        until("it lives", lambda: len(person.events("heartbeat")) >= beats + 3, command)
        assert len(person.events("incident.reminder")) == reminders
        assert "is silenced" in person.say("silence", "--for", "3s")
        assert [one["status"] for one in person.listed()] == ["silenced"]
        until("told", lambda: person.events("incident.reminder", cause="silence_ended") != [], command)
        person.say("accept", "--reason", "a new form")
        until("accepted", lambda: person.events("drift.resolved", ending="accepted") != [], command)
        assert person.listed() == []
        person.feed(BROKEN, 0.6, 3, command)
        assert command.terminate() == 0

    person.config = config_of(watched, max_silence="2s")
    with everything(person.config, "--role", "all") as (command, _children):
        until("silence is told", lambda: person.events("liveness", state="open") != [], command)
        assert [(one["kind"], one["severity"]) for one in person.listed()] == [("liveness", "warning")]
        person.feed(500, 0.6, 4, command)
        until("it is over", lambda: person.events("liveness", state="resolved") != [], command)
        assert command.terminate() == 0

    assert len(person.events("incident.reminder", cause="silence_ended")) == 1
    assert_told(person)


def assert_told(person: Person) -> None:
    """What is printed afterwards, refused, and replayed."""
    text = said("events", "-c", person.config).out
    assert "is accepted as the new normal by ann: a new form" in text
    assert "heartbeat" not in text
    assert "heartbeat" in said("events", "-c", person.config, "--all").out
    with pytest.raises(Misconfigured, match="is over"):
        person.say("acknowledge")
    again = said("backtest", "-c", person.config, "--json").document["events"]
    of_log = [one for one in person.watched.events() if "clock" not in one["attributes"]]
    told, replayed = ([one["id"] for one in of if "state" in one["attributes"]] for of in (of_log, again))
    assert replayed == told
