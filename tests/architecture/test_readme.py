from __future__ import annotations

from tests.architecture.pages import SHELLS
from tests.architecture.tree import ROOT, fenced

README = (ROOT / "README.md").read_text("utf-8")


def test_the_two_commands_are_there_once_and_ready_to_copy() -> None:
    lines = [line for shell in SHELLS for block in fenced(README, shell) for line in block.splitlines()]

    for install, then in (
        ("pip install -c constraints.txt .", "stream-infer demo"),
        ("pip install -c constraints.txt -e '.[test]'", "pytest"),
    ):
        command = f"python3 -m venv .venv && . .venv/bin/activate && {install} && {then}"
        assert lines.count(command) == 1, command
