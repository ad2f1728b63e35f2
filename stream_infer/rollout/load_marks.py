"""Loads that began in a worker and have not ended: a mark on disk before each, for the next process.

A package may end the process that loads it in ways that no code can catch: `os._exit`, a signal, a lack of
memory. A file that cannot be read or written keeps nothing.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stream_infer.common.durable import replace_file
from stream_infer.common.regular_files import read_regular
from stream_infer.rollout.rehearsal_cache import KEPT_IN_A_STORE

_MOST_BYTES = 2**16

_Marks = dict[tuple[int, str], int]
_ROWS = TypeAdapter(list[tuple[int, str, int]])


class LoadMarks:
    """The marks of one worker, in the file at `path`; without a path, in memory. Not thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._marks: _Marks = {}
        if path is not None:
            with contextlib.suppress(OSError, ValidationError):
                rows = _ROWS.validate_json(read_regular(path, most_bytes=_MOST_BYTES))
                self._marks = {(generation, digest): count for generation, digest, count in rows}

    def unfinished(self, generation: int, digest: str) -> int:
        """Return how many loads of `digest` for `generation`, one after another, began and did not end."""
        return self._marks.get((generation, digest), 0)

    def begin(self, generation: int, digest: str) -> None:
        """Mark, durably, that a load begins. Marks of earlier generations are of no use any more."""
        count = self.unfinished(generation, digest) + 1
        kept = {key: value for key, value in self._marks.items() if key[0] >= generation}
        self._replace({**kept, (generation, digest): count})

    def end(self, generation: int, digest: str) -> None:
        """Take the mark away."""
        self._replace({key: value for key, value in self._marks.items() if key != (generation, digest)})

    def _replace(self, marks: _Marks) -> None:
        self._marks = marks
        if self._path is not None:
            rows = [[generation, digest, count] for (generation, digest), count in marks.items()]
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._path, json.dumps(rows).encode("ascii"))


def load_marks_in_store(store: Path, slot: str) -> LoadMarks:
    """Return the marks that the worker of `slot` keeps in the model store at `store`."""
    return LoadMarks(store / KEPT_IN_A_STORE / f"loading.{slot}.json")
