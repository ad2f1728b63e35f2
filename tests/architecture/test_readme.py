from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from stream_infer.avro.schemas import parse_schema
from stream_infer.cli.main import app
from stream_infer.config.settings import load_settings
from tests.architecture.tree import ROOT, fenced

SHELLS = ("bash", "sh", "console")
ORDINARY = {".", "cd", "cat", "curl", "docker", "pip", "pytest", "python", "python3", "uv"}


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")


def commands(readme: str) -> list[list[str]]:
    """Return each command of the shell blocks as words; `&&`, `|` and line ends divide them."""
    found = []
    for shell in SHELLS:
        for block in fenced(readme, shell):
            for line in block.replace("\\\n", " ").splitlines():
                lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
                lexer.whitespace_split = True
                words: list[str] = []
                for word in [*lexer, "&&"]:
                    if word in {"&&", "||", "|", ";", "&"}:
                        found.append(words)
                        words = []
                    else:
                        words.append(word)
    return [words for words in found if words]


def resolve(words: list[str]) -> tuple[Any, list[str]]:
    """Follow `words` down the tree of commands; return the last command and what is left."""
    command: Any = typer.main.get_command(app)
    rest = words
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"no command: stream-infer {' '.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def test_the_two_commands_are_there_once_and_ready_to_copy(readme: str) -> None:
    lines = [line for shell in SHELLS for block in fenced(readme, shell) for line in block.splitlines()]

    for install, then in (
        ("pip install -c constraints.txt .", "stream-infer demo"),
        ("pip install -c constraints.txt -e '.[test]'", "pytest"),
    ):
        wanted = f"python3 -m venv .venv && . .venv/bin/activate && {install} && {then}"
        assert lines.count(wanted) == 1, wanted


def test_every_command_in_it_exists_with_its_options(readme: str) -> None:
    for words in commands(readme):
        program = next(word for word in words if "=" not in word)
        if program != "stream-infer":
            assert program in ORDINARY, program
            continue
        command, rest = resolve(words[words.index(program) + 1 :])
        known = {o for p in command.params for o in [*p.opts, *p.secondary_opts]} | {"--help"}
        unknown = {word.partition("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)} - known
        assert not unknown, f"{' '.join(words)}: no option {unknown}"


def test_every_configuration_in_it_is_accepted(readme: str, tmp_path: Path) -> None:
    file = tmp_path / "worker.toml"
    blocks = fenced(readme, "toml")
    assert len(blocks) > 1

    for count in range(1, len(blocks) + 1):  # the first is a whole file, each other one adds to it
        file.write_text("\n".join(blocks[:count]), "utf-8")
        load_settings(file, {})


def test_every_schema_in_it_is_accepted(readme: str) -> None:
    for block in fenced(readme, "avro"):
        parse_schema(block)


def test_every_python_block_in_it_compiles(readme: str) -> None:
    for block in fenced(readme, "python"):
        compile(block, "README.md", "exec")


def test_every_file_that_it_points_to_exists(readme: str) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", readme)

    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_test_that_it_names_exists(readme: str) -> None:
    named = re.findall(r"`(tests/[\w./-]+?)(?:::(\w+))?`", readme)

    for path, function in named:
        assert (ROOT / path).exists(), path
        assert not function or f"def {function}(" in (ROOT / path).read_text("utf-8"), function
