"""What others wrote reaches a terminal as text, never as a command to it."""

from __future__ import annotations

import json

import pytest

from stream_infer.common.printable import printable, printable_json

# Clear the screen, write the clipboard, set the title, an 8-bit control sequence, a line of its own.
COMMANDS = ["\x1b[2J", "\x1b]52;c;AAAA\x07", "\x1b]0;title\x07", "\x9b2J", "fine\nrefused: no\r", "\u202efdp"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_text_has_no_control_character(command: str) -> None:
    assert printable(f"ab {command} é 本").isprintable()


@pytest.mark.parametrize("command", COMMANDS)
def test_json_says_the_same_text_without_a_control_character(command: str) -> None:
    document = {command: [command, "é 本", 1.5, None]}

    line = printable_json(document)

    assert line.isprintable()
    assert json.loads(line) == document
