"""Data files: the rows of a CSV, Parquet, JSON Lines or Avro object container file, one after the other.

Here: file -> rows of Python values. What a row means under a schema is in `row_events`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.csv_layout import DEFAULT_LAYOUT, CsvLayout, CsvUnreadable, csv_rows

DataRow = Mapping[str, object]
"""Values by column name. A CSV has text and None, the other kinds have values of their own types."""

# What `pd.read_csv` takes for a missing value: the sample of `package create` is read with its defaults.
CSV_NULLS = frozenset(
    (
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
        "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    )
)  # fmt: skip
_Reader: TypeAlias = Callable[[Path], Iterator[DataRow]]
_PARQUET_ROWS = 10_000


class _BadRow(ValueError):
    """A row that cannot be read: its number from 1 on, and why."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


def read_rows(option: str, path: Path, layout: CsvLayout = DEFAULT_LAYOUT) -> Iterator[DataRow]:
    """Yield the rows of the file at `path` in their order; its suffix tells the kind of file.

    `layout` is that of a CSV file. Reads on as rows are asked for, and holds a few thousand of them at most.
    Raises `Misconfigured`, naming `option`, when the file or a row of it cannot be read, or without a row.
    """
    readers: dict[str, _Reader] = {".csv": partial(_csv, layout=layout), **_READERS}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        what = f"the suffix is none of {', '.join(readers)}"
        raise _unreadable(option, path, what, "give a file of one of these kinds")
    empty = True
    try:
        for row in reader(path):
            empty = False
            yield row
    except FileNotFoundError as error:
        raise _unreadable(option, path, "there is no such file", "check the path") from error
    except CsvUnreadable as error:
        if error.row is None:
            raise _unreadable(option, path, str(error), error.fix) from error
        raise _bad_row(path, error.row, str(error), error.fix) from error
    except _BadRow as error:
        raise _bad_row(path, error.number, str(error), "correct or remove the row") from error
    except (OSError, ValueError, EOFError, pa.ArrowException) as error:
        what = f"cannot be read as {path.suffix.lower()[1:]}: {error}"
        raise _unreadable(
            option, path, what, "give a file that is whole and of the kind of its suffix"
        ) from error
    if empty:
        raise _unreadable(option, path, "has no rows", "give a file with at least one row")


def _unreadable(option: str, path: Path, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem(option, str(path), what, fix)])


def _bad_row(path: Path, number: int, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem(f"{path.name}, row {number}", "", what, fix)])


def _csv(path: Path, layout: CsvLayout) -> Iterator[DataRow]:
    rows = csv_rows(path, layout)
    header = next(rows)
    for cells in rows:
        yield {name: None if cell in CSV_NULLS else cell for name, cell in zip(header, cells, strict=True)}


def _parquet(path: Path) -> Iterator[DataRow]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_PARQUET_ROWS):
            yield from batch.to_pylist()


def _json_lines(path: Path) -> Iterator[DataRow]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(filter(str.strip, file), 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise _BadRow(number, f"is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise _BadRow(number, "is not a JSON object")
            yield row


def _avro(path: Path) -> Iterator[DataRow]:
    with path.open("rb") as file:
        for number, row in enumerate(fastavro.reader(file), 1):
            if not isinstance(row, dict):
                raise _BadRow(number, "is not a record")
            yield row


_READERS: Mapping[str, _Reader] = {
    ".parquet": _parquet,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".avro": _avro,
}
