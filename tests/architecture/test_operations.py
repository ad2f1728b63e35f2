"""The runbook knows every exit code, readiness reason, event type, refusal code and metric that there is."""

from __future__ import annotations

import re

import pytest

from stream_infer.cli.main import EXIT_CODES
from stream_infer.flow.codes import EventType, RefusalCode
from stream_infer.ops.http import readiness
from stream_infer.ops.progress import Aborting, Progress
from tests.architecture.pages import prose
from tests.architecture.tree import ROOT

RUNBOOK = (ROOT / "docs" / "operations.md").read_text("utf-8")
CELLS = set(re.findall(r"`([^`]+)`", prose(RUNBOOK)))


def section(title: str) -> str:
    return RUNBOOK.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_exit_code_has_a_line() -> None:
    codes = re.findall(r"(?::|·) (\d+) ", EXIT_CODES)

    assert len(codes) == 7
    assert re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE) == codes


def test_every_reason_not_to_be_ready_has_a_line() -> None:
    nothing = Progress(active_at=0.0, aborting=Aborting(since=0.0, reason="..."))

    reasons = [reason.partition("aborted for")[0] for reason in readiness(nothing, 31.0).waiting_for]
    assert len(reasons) == 4
    assert [r for r in reasons if not any(cell.startswith(r) for cell in CELLS)] == []


@pytest.mark.parametrize("code", RefusalCode)
def test_every_refusal_code_has_an_action(code: RefusalCode) -> None:
    assert f"`{code}`" in section("Refusals")


@pytest.mark.parametrize("event", EventType)
def test_every_event_type_has_an_action(event: EventType) -> None:
    assert f"| `{event}` |" in section("Event types")
