"""CSV and JSON Lines: text whose cells become values of the event's fields when they are read as such.

A file is one split: nobody knows where a row of text begins without reading all before it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from stream_infer.batch.formats import FileShape
from stream_infer.batch.input_files import InputFile
from stream_infer.datasets.files import CSV_NULLS
from stream_infer.packaging.csv_layout import CsvLayout

_BLOCK_BYTES = 8 * 2**20
_LOOKED_AT_LINES = 10_000


class CsvFormat:
    """A `FileFormat` for CSV of one layout. A row with more or fewer cells than the header stops the run."""

    def __init__(self, layout: CsvLayout) -> None:
        self._layout = layout

    def shape(self, file: InputFile) -> FileShape:
        with self._open(file, None) as reader:
            return FileShape(
                pa.schema([(name, pa.string()) for name in reader.schema.names]), [None], text=True
            )

    def read(
        self, file: InputFile, split: int, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        del split, rows  # blocks of bytes are small
        with self._open(file, None) as reader:
            names = reader.schema.names
        with self._open(file, names) as reader:
            for table in reader:
                yield table.select(list(columns))

    def _open(self, file: InputFile, names: Sequence[str] | None) -> csv.CSVStreamingReader:
        stream = file.location.filesystem.open_input_stream(file.location.path)
        return csv.open_csv(
            stream,
            csv.ReadOptions(block_size=_BLOCK_BYTES, encoding=self._layout.encoding, use_threads=False),
            csv.ParseOptions(delimiter=self._layout.separator or ",", newlines_in_values=True),
            csv.ConvertOptions(
                column_types=dict.fromkeys(names or (), pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=sorted(CSV_NULLS),
            ),
        )


def plain_numbers(layout: CsvLayout, column: pa.Array) -> pa.Array:
    """Return numbers that are written in `layout` as Python writes them."""
    if layout.thousands is not None:
        column = pc.replace_substring(column, layout.thousands, "")
    return column if layout.decimal == "." else pc.replace_substring(column, layout.decimal, ".")


class JsonLinesFormat:
    """A `FileFormat` for objects, one a line; an object in an object is the column `outer.inner`.

    Columns are those of the first 10,000 lines. A line that is no JSON object stops the run.
    """

    def shape(self, file: InputFile) -> FileShape:
        names: dict[str, None] = {}
        for cells in islice(_lines(file), _LOOKED_AT_LINES):
            names.update(dict.fromkeys(cells))
        return FileShape(pa.schema([(name, pa.string()) for name in names]), [None], text=True)

    def read(
        self, file: InputFile, split: int, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        del split
        lines = _lines(file)
        while held := list(islice(lines, rows)):
            arrays = [pa.array([cells.get(name) for cells in held], pa.string()) for name in columns]
            yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _lines(file: InputFile) -> Iterator[Mapping[str, str | None]]:
    with file.location.filesystem.open_input_stream(file.location.path) as opened:
        for number, line in enumerate(io.BufferedReader(opened), 1):
            if not line.strip():
                continue
            try:
                yield dict(_cells(json.loads(line), ""))
            except (ValueError, RecursionError, AttributeError) as error:
                raise ValueError(f"line {number} is not a JSON object: {error}") from error


def _cells(row: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str | None]]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _cells(value, f"{prefix}{name}.")
        elif value is None or isinstance(value, str):
            yield prefix + name, value
        else:
            yield prefix + name, json.dumps(value)
