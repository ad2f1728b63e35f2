"""What `stream-infer incident` refuses, and the record that it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stream_infer.app import incidents
from stream_infer.flow.errors import Misconfigured
from stream_infer.steps.monitoring.event_record import parse_event
from stream_infer.steps.monitoring.open_incidents import OpenIncidents
from tests.support.models import said
from tests.unit.steps.monitoring.test_open_incidents import event

CONFIG = """
pipeline = "shop"
[kafka]
"bootstrap.servers" = "127.0.0.1:1"
[input]
topics = ["orders"]
framing = "none"
schema = "order.avsc"
[model]
package = "model"
[monitoring]
topic = "shop.monitoring.v1"
"""
LIMIT = {"signal": "dead_letter_rate", "feature": None, "detector": "Limit"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "worker.toml"
    path.write_text(CONFIG, "utf-8")
    return path


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes, bytes]]:
    """Return the records that are written; the topic tells of some incidents."""
    records: list[tuple[str, bytes, bytes]] = []

    def produce(_: object, topic: str, key: bytes, value: bytes, *_headers: Any, **_within: Any) -> None:
        records.append((topic, key, value))

    def read(_: object) -> OpenIncidents:
        known = OpenIncidents()
        known.take(event("drift.detected"))
        known.take(event("quality", drift=LIMIT, incident_id="5c01"))
        known.take(event("liveness", drift=None, incident_id="liveness.labels.7"))
        known.take(
            event("drift.detected", drift={**LIMIT, "signal": "error", "detector": "ADWIN"}, incident_id="77")
        )
        known.take(event("drift.resolved", "resolved", incident_id="9901"))
        return known

    monkeypatch.setattr(incidents, "produce_sync", produce)
    monkeypatch.setattr(incidents, "read_incidents", read)
    return records


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["acknowledge", "00"], "ID = 00: is no incident of this pipeline"),
        (["acknowledge", "9901"], "is over"),
        (["silence", "4b85"], "--for: a silence has an end"),
        (["silence", "4b85", "--for", "soon"], "is no time span"),
        (["silence", "4b85", "--for", "0s"], "is no time span"),
        (["silence", "4b85", "--until", "2020-01-01T00:00:00Z"], "is in the past"),
        (["silence", "4b85", "--until", "2020-01-01T00:00:00"], "has no time zone"),
        (["silence", "4b85", "--for", "2h", "--until", "2100-01-01T00:00:00Z"], "does not go with --until"),
        (["accept", "5c01"], "is over a limit of the settings"),
        (["accept", "liveness"], "has no level that could become normal"),
        (["ignore", "77"], "is no signal of the data"),
        (["watch", "4b85"], "is not ignored"),
        (["acknowledge", ""], "begins several ids"),
    ],
)
def test_a_command_without_meaning_is_refused_and_not_written(
    config: Path, written: list[Any], arguments: list[str], message: str
) -> None:
    with pytest.raises(Misconfigured) as raised:
        said("incident", *arguments, "-c", config)

    assert message.rpartition(": ")[2] in str(raised.value)
    assert all(problem.fix for problem in raised.value.problems)
    assert written == []


def test_a_command_is_a_record_under_the_key_of_its_incident(config: Path, written: list[Any]) -> None:
    answer = said(
        "incident", "silence", "4b", "-c", config, "--for", "2h", "--by", "ann", "--reason", "night"
    )

    assert answer.out == "4b85 is silenced: mean of feature 'amount'\n"
    [(topic, key, value)] = written
    record = parse_event(value)
    assert record is not None
    assert (topic, key) == ("shop.monitoring.v1", b"shop/4b85")
    assert (record["type"], record["incident_id"]) == ("incident.command", "4b85")
    said_of_it = record["attributes"]
    assert (said_of_it["action"], said_of_it["by"], said_of_it["reason"]) == ("silence", "ann", "night")
    assert int(said_of_it["until_ms"]) == record["time"] + 7_200_000


def test_a_command_without_a_name_is_given_by_the_user_of_the_machine(
    config: Path, written: list[Any]
) -> None:
    answer = said("incident", "acknowledge", "4b85", "-c", config, "--json").document

    assert re.fullmatch(r".+@.+", answer["command"]["by"])
    assert answer["subject"] == "mean of feature 'amount'"
    assert len(written) == 1


def test_open_incidents_go_with_no_filter(config: Path, written: list[Any]) -> None:
    with pytest.raises(Misconfigured) as raised:
        said("events", "-c", config, "--open", "--follow", "--since", "2h", "--type", "quality")

    assert [problem.key for problem in raised.value.problems] == ["--follow", "--type", "--since"]
    assert written == []


def test_open_incidents_are_printed_as_lines_of_json_too(config: Path, written: list[Any]) -> None:
    lines = said("events", "-c", config, "--open", "--json").out.splitlines()

    assert {json.loads(line)["id"] for line in lines} == {"4b85", "5c01", "77", "liveness.labels.7"}
    assert written == []
