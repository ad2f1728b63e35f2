"""Benchmarks are not run here; that their commands are still understood is."""

from __future__ import annotations

import importlib
import re
import shlex
import sys

import pytest

from tests.architecture.tree import ROOT

BENCHMARKS = ROOT / "benchmarks"
TOLD = [
    BENCHMARKS / "README.md",
    ROOT / "docs" / "performance.md",
    *sorted((BENCHMARKS / "results").glob("*.md")),
]
COMMAND = re.compile(r"python -m (benchmarks[\w.]*)([^`|#\n]*)")


def commands() -> dict[str, list[str]]:
    """Return the command lines that the READMEs and the results tell of."""
    found = [one for path in TOLD for one in COMMAND.findall(path.read_text("utf-8"))]
    return {f"{module}{rest}".strip(): [module, *shlex.split(rest)] for module, rest in found}


@pytest.mark.parametrize("command", commands().values(), ids=list(commands()))
def test_the_options_of_a_command_that_is_told_of_exist(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", command)

    importlib.import_module(command[0])._options()


def test_every_benchmark_is_in_the_readme() -> None:
    told = {module for module, _ in COMMAND.findall((BENCHMARKS / "README.md").read_text("utf-8"))}
    runnable = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in BENCHMARKS.rglob("*.py")
        if "_options()" in path.read_text("utf-8")
    }

    assert runnable == told
