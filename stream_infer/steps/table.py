"""Records that are rows of a table: the columns of a batch or an output that never were bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import overload

import pyarrow as pa

Render = Callable[[pa.RecordBatch, int], bytes | None]
"""The bytes of one row of a table, where somebody needs them: a dead letter does."""


def row_json(table: pa.RecordBatch, row: int) -> bytes:
    """Return row `row` of `table` as a JSON object in UTF-8; what JSON does not have is written as text."""
    [values] = table.slice(row, 1).to_pylist()
    return json.dumps(values, default=str, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


class TableRows(Sequence[bytes | None]):
    """The rows of `table` as the values of records. A row becomes bytes only when it is asked for."""

    __slots__ = ("_render", "table")

    def __init__(self, table: pa.RecordBatch, render: Render = row_json) -> None:
        self.table = table
        self._render = render

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[bytes | None]: ...

    def __getitem__(self, at: int | slice) -> bytes | Sequence[bytes | None] | None:
        if isinstance(at, slice):
            return [self._render(self.table, row) for row in range(*at.indices(len(self)))]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return self._render(self.table, at % len(self))
