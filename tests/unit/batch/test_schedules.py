"""The examples of schedules: each is of its form, and calls `score` with options that it has."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from stream_infer.cli.main import app
from tests.architecture.tree import ROOT

FOLDER = ROOT / "deploy" / "batch"


def unit(name: str) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]  # names of systemd have capitals
    parsed.read(FOLDER / name)
    return parsed


def cron() -> list[str]:
    [line] = [one for one in (FOLDER / "crontab").read_text("utf-8").splitlines() if not one.startswith("#")]
    minute, hour, *rest, command = line.split(None, 5)
    assert (int(minute) < 60, int(hour) < 24, rest) == (True, True, ["*", "*", "*"])
    return shlex.split(command.replace("\\%", "%"))


def systemd() -> list[str]:
    service = unit("stream-infer-score.service")["Service"]
    assert service["Type"] == "oneshot"
    return shlex.split(service["ExecStart"].replace("%%", "%"))


def job() -> Any:
    return yaml.safe_load((FOLDER / "cronjob.yaml").read_text("utf-8"))


def kubernetes() -> list[str]:
    [container] = job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return [*container["command"], *container["args"]]


def airflow() -> list[str]:
    tree = ast.parse((FOLDER / "airflow_dag.py").read_text("utf-8"))
    [command] = [
        ast.literal_eval(keyword.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "bash_command"
    ]
    return shlex.split(command)


@pytest.mark.parametrize("command", [cron(), systemd(), kubernetes(), airflow()], ids=lambda c: c[0])
def test_a_schedule_calls_score_so_that_it_may_be_called_blindly(command: Sequence[str]) -> None:
    assert command[0].rpartition("/")[2] == "stream-infer"
    assert {"--if-changed", "--watermark"} & set(command)

    result = CliRunner().invoke(app, [*command[1:], "--max-rejected", "never"])

    assert result.exit_code == 2  # it takes all options but the last value, which is none
    assert "Invalid value for --max-rejected" in re.sub(r"\x1b\[[\d;]*m", "", result.output)


def test_the_percent_sign_is_written_as_cron_wants_it() -> None:
    text = (FOLDER / "crontab").read_text("utf-8")

    assert re.findall(r"(?<!\\)%", text) == []  # cron ends a command at a bare one


def test_two_pods_never_write_one_output() -> None:
    document = job()

    assert (document["apiVersion"], document["kind"]) == ("batch/v1", "CronJob")
    assert document["spec"]["concurrencyPolicy"] == "Forbid"
    assert document["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] in {
        "OnFailure",
        "Never",
    }


def test_the_timer_belongs_to_the_service() -> None:
    timer = unit("stream-infer-score.timer")

    assert timer["Timer"]["OnCalendar"] == "*-*-* 02:30:00"
    assert timer["Install"]["WantedBy"] == "timers.target"
