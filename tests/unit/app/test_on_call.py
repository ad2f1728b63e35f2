"""Reminders, the end of a silence and the heartbeat, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from stream_infer.app.on_call import Intervals, OnCallWatch
from stream_infer.flow.events import AssignmentChanged, ReadFinished
from stream_infer.flow.records import Partition
from stream_infer.ops.metrics import Build, Metrics
from stream_infer.steps.monitoring.incident_command import Action, Command, command_event
from stream_infer.steps.monitoring.incident_desk import IncidentDesk

OWNED = AssignmentChanged("assigned", (Partition("observations", 0),))
OPENED = {
    "id": "e",
    "type": "quality",
    "severity": "critical",
    "time": 0,
    "incident_id": "4b85",
    "summary": "dead letters: 60 %",
    "model_version": "1.0.0",
    "model_digest": "sha256:a",
    "drift": {"signal": "dead_letter_rate", "feature": None, "detector": "Limit"},
    "attributes": {"state": "open", "subject": "dead letters"},
}


@dataclass
class Hours:
    """A watch whose clock is in hours; what it posts is read back at once, unless the topic is away."""

    now_h: float = 0.0
    away: bool = False
    told: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = IncidentDesk("shop", "monitoring")
        self.metrics = Metrics("shop", build=Build("0.1.0"))
        self.restart()

    def restart(self) -> None:
        self.watch = OnCallWatch(
            "shop",
            lambda: self.desk,
            self.post,
            Intervals(remind_s=4 * 3_600, heartbeat_s=1_800),
            self.metrics,
            clock=lambda: self.now_h * 3_600,
            now_ms=self.now_ms,
        )
        self.watch(OWNED)

    def now_ms(self) -> int:
        return int(self.now_h * 3_600_000)

    def post(self, event: Mapping[str, object]) -> None:
        self.told.append(event)
        if not self.away:
            self.desk.known.take({"drift": None} | dict(event))

    def opened(self, **more: Any) -> None:
        self.desk.known.take(OPENED | {"time": self.now_ms()} | more)

    def say(self, action: Action, until_h: float | None = None) -> None:
        until_ms = None if until_h is None else int(until_h * 3_600_000)
        command = Command("c", "4b85", action, "ann", "", self.now_ms(), until_ms)
        self.desk.known.take(command_event("shop", command, "it"))

    def at(self, hour: float, records: int = 0) -> list[Mapping[str, Any]]:
        """Read until `hour`; return the reminders."""
        before = len(self.told)
        while self.now_h < hour:
            self.now_h = min(hour, self.now_h + 0.25)
            self.watch(ReadFinished(records, 0.0))
        return [one for one in self.told[before:] if one["type"] == "incident.reminder"]


@pytest.fixture
def hours() -> Hours:
    return Hours()


def test_an_incident_is_told_again_every_four_hours_until_someone_acknowledges_it(hours: Hours) -> None:
    hours.opened()

    assert hours.at(3.75) == []
    [first] = hours.at(4)
    assert (first["severity"], first["attributes"]["cause"]) == ("critical", "interval")
    assert first["attributes"]["clock"] == "monitor"
    assert first["summary"] == "open for 4 h, and nobody has acknowledged it: dead letters: 60 %"
    assert len(hours.at(8)) == 1
    hours.say(Action.ACKNOWLEDGE)
    assert hours.at(40) == []


def test_a_monitor_that_starts_anew_neither_forgets_a_reminder_nor_repeats_it(hours: Hours) -> None:
    hours.opened()
    hours.at(5)
    hours.restart()

    assert hours.at(7.75) == []
    assert len(hours.at(8)) == 1


def test_what_is_only_information_and_what_is_over_is_told_no_more(hours: Hours) -> None:
    hours.opened(severity="info")
    assert hours.at(40) == []

    hours.opened(incident_id="5c")
    hours.desk.known.take(OPENED | {"incident_id": "5c", "attributes": {"state": "resolved"}})
    assert hours.at(80) == []


def test_an_incident_that_goes_on_after_its_silence_is_told_once_and_then_reminded_of(hours: Hours) -> None:
    hours.opened()
    hours.say(Action.SILENCE, until_h=10)

    assert hours.at(9.75) == []
    [told] = hours.at(10)
    assert told["attributes"]["cause"] == "silence_ended"
    assert told["summary"] == "the silence is over and this goes on: dead letters: 60 %"
    assert hours.at(13.75) == []
    [reminder] = hours.at(14)
    assert reminder["attributes"]["cause"] == "interval"


def test_an_acknowledged_incident_is_told_at_the_end_of_its_silence_too(hours: Hours) -> None:
    hours.opened()
    hours.say(Action.ACKNOWLEDGE)
    hours.say(Action.SILENCE, until_h=10)

    assert len(hours.at(40)) == 1


def test_an_incident_that_ends_while_it_is_silenced_is_not_told(hours: Hours) -> None:
    hours.opened()
    hours.say(Action.SILENCE, until_h=10)
    hours.desk.known.take(OPENED | {"attributes": {"state": "resolved"}})

    assert hours.at(40) == []


def test_a_reminder_that_does_not_come_back_is_posted_again_under_its_id(hours: Hours) -> None:
    hours.opened()
    hours.away = True

    told = hours.at(5)

    assert len(told) > 1
    assert len({one["id"] for one in told}) == 1


def test_nothing_is_told_while_the_topic_is_read_from_an_earlier_place(hours: Hours) -> None:
    hours.opened()

    assert hours.at(40, records=500) == []

    hours.desk.is_current = True
    assert len(hours.at(40.25, records=500)) == 1


def test_a_monitor_without_partitions_says_nothing(hours: Hours) -> None:
    hours.opened()
    hours.watch(AssignmentChanged("revoked", ()))

    hours.at(40)

    assert hours.told == []


def test_the_monitor_says_that_it_lives_and_how_many_incidents_are_open(hours: Hours) -> None:
    hours.opened()
    hours.at(2)

    beats = [one for one in hours.told if one["type"] == "heartbeat"]
    assert len(beats) == 4
    assert beats[-1]["summary"] == "the monitor lives; 1 open incident"
    assert hours.desk.known.heartbeat_ms == beats[-1]["time"]


def test_open_incidents_are_a_metric_by_kind_and_severity(hours: Hours) -> None:
    hours.opened()
    hours.at(0.5)

    def value(kind: str, severity: str) -> float | None:
        labels = {"pipeline": "shop", "kind": kind, "severity": severity}
        return hours.metrics.registry.get_sample_value("stream_infer_open_incidents", labels)

    assert (value("quality", "critical"), value("drift", "warning")) == (1.0, 0.0)
    hours.desk.known.take(OPENED | {"attributes": {"state": "resolved"}})
    hours.at(1)
    assert value("quality", "critical") == 0.0
