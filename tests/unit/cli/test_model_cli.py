"""`stream-infer model`, as a user and as a script see it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stream_infer.app import deployments
from stream_infer.cli.model import app
from stream_infer.flow.errors import BrokerUnreachable, Misconfigured, Refused
from stream_infer.rollout.deployment import Deployment, format_deployment
from stream_infer.store.history import CURRENT
from tests.unit.store.shop import package, store


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a store that is empty, beside two packages."""
    monkeypatch.setenv("COLUMNS", "200")
    package(tmp_path / "one", "1.0")
    package(tmp_path / "two.zip", "2.0")
    return store(tmp_path / "models").folder


def said(folder: Path, command: str, *arguments: str | Path) -> str:
    where = ["--store", str(folder), "--pipeline", "payments.fraud"]
    result = CliRunner().invoke(app, [command, *map(str, arguments), *where], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def answered(folder: Path, command: str, *arguments: str | Path) -> Any:
    return json.loads(said(folder, command, *arguments, "--json"))


def test_a_promotion_says_what_is_desired_now_and_what_if_it_cannot_serve(folder: Path) -> None:
    one = answered(folder, "promote", folder.parent / "one", "--reason", "first", "--by", "ada")
    two = said(folder, "promote", folder.parent / "two.zip")

    assert (one["generation"], one["reason"], one["requested_by"]) == (1, "first", "ada")
    assert "fraud 2.0" in two
    assert "fraud 1.0" in two
    assert "@" in store(folder).history()[0].requested_by


def test_a_rollback_says_what_it_goes_back_to(folder: Path) -> None:
    for name in ("one", "two.zip"):
        said(folder, "promote", folder.parent / name)

    back = answered(folder, "rollback", "--reason", "worse")

    assert (back["generation"], back["package"]["version"]) == (3, "1.0")
    assert "rolled back to" in said(folder, "rollback")


def test_the_status_shows_the_desired_one_and_the_past(folder: Path) -> None:
    for name in ("one", "two.zip"):
        said(folder, "promote", folder.parent / name, "--reason", f"try {name}")

    shown = said(folder, "status")
    document = answered(folder, "status", "--last", "1")

    assert "try one" in shown
    assert document["desired"]["package"]["version"] == "2.0"
    assert [one["generation"] for one in document["history"]] == [2]
    assert document["problem"] is None


def test_the_status_tells_what_is_wrong_with_the_store(folder: Path) -> None:
    said(folder, "promote", folder.parent / "one")
    (folder / CURRENT).write_text("{")

    assert "invalid" in said(folder, "status")
    assert answered(folder, "status")["problem"]["code"] == "invalid"
    assert answered(folder.parent / "nowhere", "status")["problem"]["code"] == "gone"


def test_a_time_that_no_calendar_has_is_still_shown(folder: Path) -> None:
    said(folder, "promote", folder.parent / "one")
    current = store(folder).current()
    assert isinstance(current, Deployment)
    later = replace(current, generation=2, requested_at=2**63 - 1)
    (folder / CURRENT).write_bytes(format_deployment(later))

    assert f"{2**63 - 1} ms" in said(folder, "status")


def test_the_store_and_the_pipeline_are_those_of_worker_toml(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.parent / "event.avsc").write_text(
        '{"type": "record", "name": "E", "fields": [{"name": "x", "type": "double"}]}'
    )
    toml = 'pipeline = "payments.fraud"\n[kafka]\n"bootstrap.servers" = "127.0.0.1:1"\n'
    toml += '[input]\ntopics = ["payments"]\nschema = "event.avsc"\n[model]\n'
    monkeypatch.chdir(folder.parent)
    Path("worker.toml").write_text(toml + 'store = "models"\n')
    said(folder, "promote", "one")

    shown = CliRunner().invoke(app, ["status", "--json"], catch_exceptions=False)

    assert json.loads(shown.output)["desired"]["pipeline"] == "payments.fraud"

    Path("other.toml").write_text(toml + 'package = "one"\n')
    with pytest.raises(Misconfigured, match="there is no model store"):
        CliRunner().invoke(app, ["status", "-c", "other.toml"], catch_exceptions=False)


def test_what_cannot_be_promoted_is_refused(folder: Path) -> None:
    with pytest.raises(Refused):
        said(folder, "promote", folder.parent / "nowhere")
    with pytest.raises(Misconfigured):
        said(folder.parent / "nowhere", "promote", folder.parent / "one")


WORKER = """
pipeline = "payments.fraud"
[kafka]
"bootstrap.servers" = "127.0.0.1:1"
[input]
topics = ["events"]
schema = "event.avsc"
[model]
store = "models"
history_generations = 1
history_days = 0
"""
EVENT = {"type": "record", "name": "test.Event", "fields": [{"name": "x", "type": "double"}]}


def promoted(folder: Path, name: str) -> str:
    """Promote with a worker.toml; return what was told beside the result."""
    config = folder.parent / "worker.toml"
    config.write_text(WORKER, "utf-8")
    (folder.parent / "event.avsc").write_text(json.dumps(EVENT), "utf-8")
    result = CliRunner().invoke(app, ["promote", str(folder.parent / name), "-c", str(config)])
    assert result.exit_code == 0, result.output
    return result.stderr


def test_promotions_remove_old_deployments_and_say_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.0", "4.0"):
        package(folder.parent / version, version)
    monkeypatch.setattr(deployments, "read_fleet", lambda _settings: [])

    told = [promoted(folder, name) for name in ("one", "two.zip", "3.0", "4.0")]

    assert told[:2] == ["", ""]
    assert "deployments: 1, packages: 0" in told[2]  # generation 2 names the first package as its fallback
    assert "deployments: 1, packages: 1" in told[3]
    assert [one.generation for one in store(folder).history()] == [4, 3]


def test_a_promotion_past_what_workers_have_seen_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "ask_workers", lambda _settings: deployments.FleetReport(newest=900))
    past = promoted(folder, "one")
    monkeypatch.setattr(
        deployments, "ask_workers", lambda _settings: deployments.FleetReport(newest=2**63 - 1)
    )
    beyond = promoted(folder, "one")

    assert past.startswith(
        "note: the workers have seen generation 900, the store 0: this deployment is generation 901"
    )
    assert beyond.startswith("warning: the workers have seen generation 9223372036854775807, the store 901")
    assert store(folder).history()[0].generation == 902


def test_workers_that_cannot_be_asked_keep_no_promotion_from_the_store_and_all_old_ones_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_settings: object) -> None:
        raise BrokerUnreachable("no answer")

    monkeypatch.setattr(deployments, "read_fleet", away)

    told = [promoted(folder, name) for name in ("one", "two.zip", "one", "two.zip")]

    assert told == ["warning: the generation of the workers is unknown: no answer\n"] * 4
    assert len(store(folder).history()) == 4
