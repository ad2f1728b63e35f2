"""The rig of files: two Arrow files, each a split, and an output folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stream_infer.batch.arrow_file import ArrowFileFormat
from stream_infer.batch.input_files import find_files
from stream_infer.batch.journal import Journal, positions_of
from stream_infer.batch.locations import locate
from stream_infer.batch.output_folder import OutputFolder
from stream_infer.batch.part_files import parquet_part
from stream_infer.batch.sink import FileSink
from stream_infer.batch.source import FileSource
from stream_infer.batch.splits import Split
from stream_infer.flow.ports import Sink, Source

_SHAPE = pa.schema([("value", pa.binary())])


class FileRig:
    """See `rigs.Rig`. The value of a record is the one column of its row; a journalled part is visible."""

    def __init__(self, folder: Path) -> None:
        self._inputs = folder / "input"
        self._inputs.mkdir()
        self._values: list[list[bytes | None]] = [[], []]
        self._output = OutputFolder(locate("-o", str(folder / "output")))

    def append(self, partition: int, values: Sequence[bytes | None]) -> None:
        self._values[partition] += values

    def open(self) -> tuple[Source, Sink]:
        for index, values in enumerate(self._values):
            table = pa.RecordBatch.from_arrays([pa.array(values, pa.binary())], schema=_SHAPE)
            path = str(self._inputs / f"{index}.arrow")
            with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, _SHAPE) as writer:
                writer.write_batch(table)
        files = find_files([str(self._inputs)])
        rows = map(len, self._values)
        splits = [
            Split(i, file, i, 0, count) for i, (file, count) in enumerate(zip(files, rows, strict=True))
        ]
        journal = Journal(self._output)
        positions = positions_of(splits, journal.entries())
        source = FileSource(splits, _open, positions, received_ms=0, render=_value)
        numbers = {split.partition: split.number for split in splits}
        return source, FileSink(self._output, journal, numbers, parquet_part, ".parquet")

    def lose_assignment(self) -> None:
        """Do nothing: a run holds its output alone until it ends."""

    def visible(self) -> list[tuple[int, bytes | None]]:
        found: list[tuple[int, bytes | None]] = []
        for entry in Journal(self._output).entries():
            if entry.part is not None:
                data = self._output.work.read(f"parts/{entry.part.name}") or b""
                found += [(entry.split, row["value"]) for row in pq.read_table(BytesIO(data)).to_pylist()]
        return found


def _open(split: Split, rows: int) -> Iterator[pa.RecordBatch]:
    return ArrowFileFormat().read(split.file, 0, ["value"], rows)


def _value(table: pa.RecordBatch, row: int) -> bytes | None:
    value: bytes | None = table.column("value")[row].as_py()
    return value
