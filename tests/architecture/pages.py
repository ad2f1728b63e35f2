"""The Markdown pages that readers are pointed to: their links, their fenced blocks, the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from stream_infer.cli.main import app
from tests.architecture.tree import ROOT, fenced

SHELLS = ("bash", "sh", "console")
_LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_COMMENT = re.compile(r" #.*")
_INLINE = re.compile(r"`(stream-infer [^`]+)`")
_DIVIDERS = frozenset({"&&", "||", "|", ";", "&", ">", ">>"})


def pages() -> list[Path]:
    """Return every page, in order."""
    folders = ("docs", "benchmarks", "examples")
    return sorted([*ROOT.glob("*.md"), *(p for f in folders for p in (ROOT / f).rglob("*.md"))])


def name(page: Path) -> str:
    """Return the path of `page` in the project."""
    return page.relative_to(ROOT).as_posix()


def prose(markdown: str) -> str:
    """Return `markdown` without its fenced blocks."""
    kept, inside = [], False
    for line in markdown.splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


def links(markdown: str) -> list[str]:
    """Return the targets of the links to other files and to headings."""
    return _LINK.findall(prose(markdown))


def anchors(markdown: str) -> set[str]:
    """Return the anchors of the headings, as GitHub and MyST make them."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _headings(markdown)}


def broken(page: Path) -> Iterator[str]:
    """Yield each link of `page` to a file or a heading that is not there."""
    for link in links(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists():
            yield f"{name(page)}: no file {link}"
        elif anchor and anchor not in anchors(target.read_text("utf-8")):
            yield f"{name(page)}: no heading {link}"


def languages(markdown: str) -> list[str]:
    """Return the language of each fenced block; empty where it names none."""
    opening, found = True, []
    for line in markdown.splitlines():
        if line.lstrip().startswith("```"):
            if opening:
                found.append(line.strip().removeprefix("```"))
            opening = not opening
    return found


def commands(markdown: str) -> list[list[str]]:
    """Return each command of the shell blocks as words, and each `stream-infer` command of the prose."""
    lines = [
        line
        for shell in SHELLS
        for block in fenced(markdown, shell)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [words for line in [*lines, *_INLINE.findall(prose(markdown))] for words in _divided(line)]


def unknown_options(words: list[str]) -> set[str]:
    """Return the options of a `stream-infer` command line that its command does not have.

    Raises `AssertionError` where there is no such command.
    """
    command, rest = _resolve(words[words.index("stream-infer") + 1 :])
    known = {o for p in command.params for o in [*p.opts, *p.secondary_opts]} | {"--help"}
    return {word.partition("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)} - known


def _headings(markdown: str) -> list[str]:
    return [title.replace("`", "") for title in _HEADING.findall(prose(markdown))]


def _divided(line: str) -> list[list[str]]:
    lexer = shlex.shlex(_COMMENT.sub("", line.removeprefix("$ ")), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word in _DIVIDERS:
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def _resolve(words: list[str]) -> tuple[Any, list[str]]:
    """Follow `words` down the tree of commands; return the last command and what is left."""
    command: Any = typer.main.get_command(app)
    rest = words
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"no command: stream-infer {' '.join(words)}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest
