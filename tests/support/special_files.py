"""Things that are no regular file, to put where a reader expects one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this platform has no pipes with names")

SPECIAL: Mapping[str, Callable[[Path], object]] = {
    "pipe": lambda path: os.mkfifo(path),  # noqa: PLW0108 - not every platform has it
    "folder": lambda path: path.mkdir(),
    "endless device": lambda path: path.symlink_to("/dev/zero"),
}


def put_pipe(path: Path) -> None:
    """Put a pipe that nobody writes in place of `path`."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
