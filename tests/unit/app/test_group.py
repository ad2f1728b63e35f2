from __future__ import annotations

from collections.abc import Sequence

import pytest

from stream_infer.app.checks import group
from stream_infer.app.checks.group import group_findings
from stream_infer.kafka.client import Properties

NOBODY = Properties({"bootstrap.servers": "127.0.0.1:1"})


class Inquiry:
    """One foreign member in the group of the workers, none in that of the monitor, which may not be seen."""

    def __init__(self, _kafka: Properties, group_id: str, *, timeout_s: float) -> None:
        assert timeout_s == 2.0
        self._group_id = group_id

    def ask(self) -> Sequence[str] | None:
        return ["a stranger"] if self._group_id == "shop.score" else None


def test_foreign_members_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "GroupInquiry", Inquiry)

    findings = group_findings(NOBODY, ["shop.score", "shop.monitor"], timeout_s=2.0)

    assert findings.warned == ["a stranger"]
    assert findings.exit_code == 0


def test_a_group_that_nobody_answers_for_is_skipped() -> None:
    findings = group_findings(NOBODY, ["shop.score"], timeout_s=0.3)

    [skipped] = findings.skipped
    assert skipped.startswith("members of the group shop.score: no answer from 127.0.0.1:1")
