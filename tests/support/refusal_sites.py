"""The places in the sources that refuse something, and which of them a block of code has reached."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import stream_infer
from stream_infer.flow.errors import Problem, Refused
from stream_infer.packaging.csv_layout import CsvUnreadable

_ROOT = Path(stream_infer.__file__).parent
_REFUSALS = (Problem, CsvUnreadable, Refused)
_NAMES = frozenset(one.__name__ for one in _REFUSALS)
_RETURNED = frozenset({*_NAMES, "Misconfigured"})


@dataclass(frozen=True, order=True)
class Site:
    """A call that makes a refusal: a file below `stream_infer`, its first and last line, and the function."""

    file: str
    first: int
    last: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.first} ({self.function})"


def sites_of(files: Sequence[str]) -> list[Site]:
    """Return every site of `files` (`packaging/binding.py`, ...).

    A function that only words a refusal for others, which its return type tells, is no site: its calls are.
    """
    return sorted(site for file in files for site in _sites(file))


def _sites(file: str) -> Iterator[Site]:
    tree = ast.parse((_ROOT / file).read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    wording = {one.name for one in functions if one.returns and ast.unparse(one.returns) in _RETURNED}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        within = [one.name for one in functions if one.lineno <= node.lineno <= (one.end_lineno or 0)]
        if node.func.id in _NAMES | wording and not wording & set(within):
            yield Site(file, node.lineno, node.end_lineno or node.lineno, within[-1] if within else "")


class Reached:
    """The lines of the sources that were on the way to a refusal, newest refusals last."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._lines: list[frozenset[tuple[str, int]]] = []
        for kind in _REFUSALS:
            patch.setattr(kind, "__init__", self._noting(kind.__init__))

    def taken(self) -> frozenset[tuple[str, int]]:
        """Return the lines of all refusals since the last call."""
        found: frozenset[tuple[str, int]] = frozenset().union(*self._lines)
        self._lines.clear()
        return found

    def _noting(self, make: Callable[..., None]) -> Callable[..., None]:
        def noted(refusal: object, *given: Any, **named: Any) -> None:
            self._lines.append(frozenset(_lines()))
            make(refusal, *given, **named)

        return noted


def _lines() -> Iterator[tuple[str, int]]:
    frame = sys._getframe(2)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_ROOT):
            yield path.relative_to(_ROOT).as_posix(), frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]


def reached(site: Site, lines: frozenset[tuple[str, int]]) -> bool:
    """Return whether `lines` have one of `site`."""
    return any(file == site.file and site.first <= line <= site.last for file, line in lines)
