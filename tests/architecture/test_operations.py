"""The runbook knows every exit code, readiness reason, event type, refusal code and metric that there is."""

from __future__ import annotations

import re

import pytest

from stream_infer.cli.main import EXIT_CODES
from stream_infer.flow.codes import EventType, ExitCode, ReadinessReason, RefusalCode
from tests.architecture.pages import prose
from tests.architecture.tree import ROOT

RUNBOOK = (ROOT / "docs" / "operations.md").read_text("utf-8")
CELLS = set(re.findall(r"`([^`]+)`", prose(RUNBOOK)))


def section(title: str) -> str:
    return RUNBOOK.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_exit_code_has_a_line() -> None:
    codes = [str(int(code)) for code in ExitCode]

    assert re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE) == codes
    assert re.findall(r"(?::|·) (\d+) ", EXIT_CODES) == codes


@pytest.mark.parametrize("reason", ReadinessReason)
def test_every_reason_not_to_be_ready_has_an_action(reason: ReadinessReason) -> None:
    assert re.search(rf"^\| `{reason}[`:]", section("Readiness"), re.MULTILINE)


@pytest.mark.parametrize("code", RefusalCode)
def test_every_refusal_code_has_an_action(code: RefusalCode) -> None:
    assert f"`{code}`" in section("Refusals")


@pytest.mark.parametrize("event", EventType)
def test_every_event_type_has_an_action(event: EventType) -> None:
    assert f"| `{event}` |" in section("Event types")
