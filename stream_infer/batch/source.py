"""The source of a batch run: splits of files, one after the other, as batches whose values are a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from stream_infer.batch.splits import Split
from stream_infer.flow.errors import Fatal
from stream_infer.flow.records import Batch, Cursor, Partition, Span
from stream_infer.steps.table import Render, TableRows, row_json

OpenSplit = Callable[[Split, int], Iterator[pa.RecordBatch]]
"""Yields the tables of a split, in pieces of about so many rows."""

_NO_TIMESTAMP = -1


class FileSource:
    """A `Source`. `positions` is the next row of each split; a split that is not in it begins at its first.

    A batch has rows of one split, and as many as asked for unless the split ends: with one limit for all
    reads the borders are always the same. Finished after the last row of the last split.
    """

    def __init__(
        self,
        splits: Sequence[Split],
        open_split: OpenSplit,
        positions: Mapping[Partition, int],
        *,
        received_ms: int,
        render: Render = row_json,
    ) -> None:
        self._splits = list(splits)
        self._open = open_split
        self._received_ms = received_ms
        self._render = render
        self._next = {
            split.partition: positions.get(split.partition, split.first_row) for split in self._splits
        }
        self._ended = {split.partition for split in self._splits if self._is_read(split)}
        self._reading: tuple[Partition, _Tables] | None = None

    def read(self, limit: int, wait_s: float) -> Batch | None:  # noqa: ARG002 - a file does not wait
        for split in self._splits:
            if split.partition in self._ended:
                continue
            table, ended = self._take(split, limit)
            positions = dict(self._next)
            self._next[split.partition] += table.num_rows
            if ended:
                self._ended.add(split.partition)
                self._reading = None
            if table.num_rows:
                return self._batch(split, table, positions)
        return None

    def rewind(self, cursor: Cursor) -> None:
        for partition, span in cursor.spans.items():
            if partition in self._next:
                self._next[partition] = span.first
                self._ended.discard(partition)
        self._reading = None

    @property
    def finished(self) -> bool:
        return len(self._ended) == len(self._splits)

    def _is_read(self, split: Split) -> bool:
        return split.rows is not None and self._next[split.partition] >= split.first_row + split.rows

    def _take(self, split: Split, limit: int) -> tuple[pa.RecordBatch, bool]:
        if self._reading is None or self._reading[0] != split.partition:
            skipped = self._next[split.partition] - split.first_row
            self._reading = split.partition, _Tables(self._open(split, limit), skipped)
        try:
            return self._reading[1].take(limit)
        except (OSError, ValueError, EOFError, pa.ArrowException) as error:
            row = self._next[split.partition]
            raise Fatal(
                f"{split.file.name} cannot be read from row {row} on (split {split.index}): {error}. "
                "Replace the file, and run the command again"
            ) from error

    def _batch(self, split: Split, table: pa.RecordBatch, positions: Mapping[Partition, int]) -> Batch:
        first, count = positions[split.partition], table.num_rows
        nothing: list[None] = [None] * count
        return Batch(
            cursor=Cursor({split.partition: Span(first, first + count)}),
            partitions=[split.partition],
            partition=np.zeros(count, np.int32),  # type: ignore[arg-type]  # columns, not lists
            offset=np.arange(first, first + count),  # type: ignore[arg-type]  # as above
            timestamp_ms=np.full(count, _NO_TIMESTAMP, np.int64),  # type: ignore[arg-type]  # as above
            keys=nothing,
            values=TableRows(table, self._render),
            headers=nothing,
            received_ms=self._received_ms,
            positions=positions,
            ended=frozenset(self._ended),
        )


class _Tables:
    """Tables of any size, taken in pieces of a size asked for."""

    def __init__(self, tables: Iterator[pa.RecordBatch], skipped: int) -> None:
        self._tables = tables
        self._skipped = skipped
        self._held: list[pa.RecordBatch] = []
        self._rows = 0

    def take(self, count: int) -> tuple[pa.RecordBatch, bool]:
        """Return up to `count` rows, fewer only at the end, and whether there are no more behind them."""
        while self._rows <= count and self._pull():
            pass
        if not self._held:
            return pa.RecordBatch.from_arrays([], names=[]), True
        table = _joined(self._held)
        self._held = [table.slice(count)] if table.num_rows > count else []
        self._rows = max(0, table.num_rows - count)
        return table.slice(0, count), not self._held

    def _pull(self) -> bool:
        for table in self._tables:
            skipped = min(self._skipped, table.num_rows)
            self._skipped -= skipped
            if skipped < table.num_rows:
                self._held.append(table.slice(skipped))
                self._rows += table.num_rows - skipped
                return True
        return False


def _joined(tables: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(tables) == 1:
        return tables[0]
    [joined] = pa.Table.from_batches(tables).combine_chunks().to_batches()
    return joined
