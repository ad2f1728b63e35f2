"""The port of a file format: how a file divides into splits, and the tables of a split.

Each format has a module beside this one: `parquet_file`, `avro_file`, `text_files`, `arrow_file`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from stream_infer.batch.input_files import InputFile


@dataclass(frozen=True, slots=True)
class FileShape:
    """The columns of a file, and the rows of each of its splits; None where reading alone tells.

    With `text` the columns hold text that stands for values of other types.
    """

    schema: pa.Schema
    rows: Sequence[int | None]
    text: bool = False


class FileFormat(Protocol):
    """Reads files of one format. Raises `OSError`, `ValueError` or `pa.ArrowException` for a damaged one."""

    def shape(self, file: InputFile) -> FileShape:
        """Return what `file` holds; reads no more of it than that takes."""

    def read(
        self, file: InputFile, split: int, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield `columns` of the split, in tables of about `rows` rows."""
