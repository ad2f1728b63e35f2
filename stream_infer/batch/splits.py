"""The splits of an input: what is read in one piece, one after the other, by one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pyarrow as pa

from stream_infer.batch.arrow_file import ArrowFileFormat
from stream_infer.batch.avro_file import AvroFileFormat
from stream_infer.batch.formats import FileFormat, FileShape
from stream_infer.batch.input_files import InputFile
from stream_infer.batch.parquet_file import ParquetFormat
from stream_infer.batch.text_files import CsvFormat, JsonLinesFormat
from stream_infer.flow.errors import Fatal, Misconfigured, Problem
from stream_infer.flow.records import Partition
from stream_infer.packaging.csv_layout import CsvLayout

_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Split:
    """Split `index` of `file`; `number` counts those of all files. `rows` of None are unknown until read."""

    number: int
    file: InputFile
    index: int
    first_row: int
    rows: int | None

    @property
    def partition(self) -> Partition:
        """The split as a partition of the loop; its offsets are rows of the file."""
        return Partition(self.file.name, self.index)


@dataclass(frozen=True, slots=True)
class InputPlan:
    """All splits of an input in their fixed order, and the columns that every file has."""

    splits: Sequence[Split]
    schema: pa.Schema
    text: bool
    format: FileFormat

    @property
    def rows(self) -> int | None:
        """The rows of the input, where its files tell them."""
        known = [split.rows for split in self.splits if split.rows is not None]
        return sum(known) if len(known) == len(self.splits) else None


def file_format(suffix: str, layout: CsvLayout) -> FileFormat:
    """Return the format of files with this suffix."""
    formats: Mapping[str, Callable[[], FileFormat]] = {
        ".parquet": ParquetFormat,
        ".avro": AvroFileFormat,
        ".csv": lambda: CsvFormat(layout),
        ".jsonl": JsonLinesFormat,
        ".ndjson": JsonLinesFormat,
        ".arrow": ArrowFileFormat,
        ".arrows": ArrowFileFormat,
        ".feather": ArrowFileFormat,
    }
    return formats[suffix]()


def plan_splits(files: Sequence[InputFile], layout: CsvLayout, first_number: int = 0) -> InputPlan:
    """Return the splits of `files`, numbered from `first_number` on.

    Raises `Misconfigured` for a file that cannot be read, and for files whose columns differ.
    """
    made = file_format(files[0].suffix, layout)
    splits: list[Split] = []
    first: FileShape | None = None
    for file in files:
        shape = whole(file, partial(made.shape, file))
        first = first or shape
        _require_same_columns(files[0], first, file, shape)
        row = 0
        for index, rows in enumerate(shape.rows):
            splits.append(Split(first_number + len(splits), file, index, row, rows))
            row += rows or 0
    if first is None:
        raise Fatal("an input without a file cannot be planned")
    named = dict.fromkeys(name for file in files for name in file.partition)
    schema = first.schema
    for name in named:
        if name not in schema.names:
            schema = schema.append(pa.field(name, pa.string()))
    return InputPlan(splits, schema, first.text, made)


def whole(file: InputFile, read: Callable[[], _Read]) -> _Read:
    """Return what `read` returns; what it raises about `file` becomes a `Misconfigured` that names it."""
    try:
        return read()
    except (OSError, ValueError, EOFError, pa.ArrowException) as error:
        what = f"cannot be read as {file.suffix[1:]}: {error}"
        fix = "give a file that is whole and of the kind of its suffix"
        raise Misconfigured([Problem("INPUT", file.name, what, fix)]) from error


def _require_same_columns(one: InputFile, first: FileShape, file: InputFile, shape: FileShape) -> None:
    if shape.schema.equals(first.schema):
        return
    for field in first.schema:
        there = shape.schema.get_field_index(field.name)
        if there < 0:
            what = f"has no column '{field.name}', which {one.name} has"
        elif shape.schema.field(there).type != field.type:
            what = (
                f"column '{field.name}' is {shape.schema.field(there).type}, and in {one.name} {field.type}"
            )
        else:
            continue
        fix = "score files of other columns in a run of their own, or write them anew with the same types"
        raise Misconfigured([Problem("INPUT", file.name, what, fix)])
