from __future__ import annotations

import re

from stream_infer.demo.story import CHAPTERS
from tests.architecture.pages import SHELLS
from tests.architecture.tree import ROOT, fenced

README = (ROOT / "README.md").read_text("utf-8")


def test_the_two_commands_are_there_once_and_ready_to_copy() -> None:
    lines = [line for shell in SHELLS for block in fenced(README, shell) for line in block.splitlines()]

    for install, then in (
        ("pip install -c constraints.txt '.[dashboard]'", "stream-infer demo"),
        ("pip install -c constraints.txt -e '.[test]'", "pytest"),
    ):
        command = f"python3 -m venv .venv && . .venv/bin/activate && {install} && {then}"
        assert lines.count(command) == 1, command


def test_it_is_short() -> None:
    assert len(README.split()) <= 900


def test_what_the_demo_prints_has_its_chapters() -> None:
    shown = "\n".join(fenced(README, "text"))
    chapters = re.findall(r"^(\d)  (.+)$", shown, re.MULTILINE)

    assert len(chapters) > 1
    assert [title for number, title in chapters if CHAPTERS[int(number) - 1].title != title] == []
