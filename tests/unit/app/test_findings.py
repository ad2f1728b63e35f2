"""Findings of several checks become one report with one exit code."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stream_infer.app.checks.findings import Findings
from stream_infer.flow.errors import Problem


def problem(key: str) -> Problem:
    return Problem(key, "", "is wrong", "correct it")


@pytest.mark.parametrize(
    ("codes", "exit_code"), [([], 0), ([2], 2), ([3, 3], 3), ([4], 4), ([3, 4], 2), ([2, 4], 2)]
)
def test_problems_of_one_kind_have_its_exit_code_and_mixed_ones_have_2(
    codes: Sequence[int], exit_code: int
) -> None:
    findings = Findings()
    for code in codes:
        findings.add([problem("a")], code)

    assert findings.exit_code == exit_code


def test_merged_findings_keep_their_order_and_their_codes() -> None:
    one = Findings(["a"], ["b"], ["c"])
    one.add([problem("x")])
    other = Findings(["d"], ["e"], ["f"])
    other.add([problem("y"), problem("z")], 4)

    one.merge(other)

    assert (one.passed, one.warned, one.skipped) == (["a", "d"], ["b", "e"], ["c", "f"])
    assert [(code, found.key) for code, found in one.found] == [(2, "x"), (4, "y"), (4, "z")]
    assert [found.key for found in one.problems] == ["x", "y", "z"]
    assert one.exit_code == 2
    assert other.problems == (problem("y"), problem("z"))
