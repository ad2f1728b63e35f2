"""Where the tree is, and the files in it that people write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = (".ci", "benchmarks", "deploy", "docs", "examples", "schemas", "stream_infer", "tests")


def files() -> Iterator[Path]:
    """Yield every text file that is part of the project; caches, builds and virtual environments are not."""
    yield from (p for p in ROOT.iterdir() if p.is_file())
    for folder in _FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".png":
                yield path


def fenced(markdown: str, language: str) -> list[str]:
    """Return the blocks of `markdown` that are fenced with `language`."""
    blocks: list[list[str]] = []
    current: list[str] | None = None
    for line in markdown.splitlines():
        if not line.startswith("```"):
            if current is not None:
                current.append(line)
        elif current is None:
            current = []
            if line.removeprefix("```").strip() == language:
                blocks.append(current)
        else:
            current = None
    return ["\n".join(block) for block in blocks]
