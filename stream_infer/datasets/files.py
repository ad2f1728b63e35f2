"""Data files: the rows of a CSV, Parquet, JSON Lines or Avro object container file, one after the other.

Here: file -> rows of Python values. What a row means under a schema is in `row_events`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from stream_infer.flow.errors import Misconfigured, Problem

DataRow = Mapping[str, object]
"""Values by column name. A CSV has text and None, the other kinds have values of their own types."""

# What `pd.read_csv` takes for a missing value: the sample of `package create` is read with its defaults.
_CSV_NULLS = frozenset(
    (
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
        "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
    )
)  # fmt: skip
_PARQUET_ROWS = 10_000


class _BadRow(ValueError):
    """A row that cannot be read: its number from 1 on, and why."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


def read_rows(option: str, path: Path) -> Iterator[DataRow]:
    """Yield the rows of the file at `path` in their order; its suffix tells the kind of file.

    Reads on as rows are asked for, and holds a few thousand of them at most. Raises `Misconfigured`, naming
    `option`, when the file or a row of it cannot be read, or when there is no row.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        what = f"the suffix is none of {', '.join(_READERS)}"
        raise _unreadable(option, path, what, "give a file of one of these kinds")
    empty = True
    try:
        for row in reader(path):
            empty = False
            yield row
    except FileNotFoundError as error:
        raise _unreadable(option, path, "there is no such file", "check the path") from error
    except _BadRow as error:
        place = f"{path.name}, row {error.number}"
        raise Misconfigured([Problem(place, "", str(error), "correct or remove the row")]) from error
    except (OSError, ValueError, EOFError, csv.Error, pa.ArrowException) as error:
        what = f"cannot be read as {path.suffix.lower()[1:]}: {error}"
        raise _unreadable(
            option, path, what, "give a file that is whole and of the kind of its suffix"
        ) from error
    if empty:
        raise _unreadable(option, path, "has no rows", "give a file with at least one row")


def _unreadable(option: str, path: Path, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem(option, str(path), what, fix)])


def _csv(path: Path) -> Iterator[DataRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if len(set(header)) < len(header):
            twice = sorted({name for name in header if header.count(name) > 1})
            raise ValueError(f"the header has {', '.join(twice)} more than once")
        for number, cells in enumerate(filter(None, lines), 1):
            if len(cells) != len(header):
                raise _BadRow(number, f"has {len(cells)} cells, and the header has {len(header)}")
            yield {
                name: None if cell in _CSV_NULLS else cell for name, cell in zip(header, cells, strict=True)
            }


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


_READERS: Mapping[str, Callable[[Path], Iterator[DataRow]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".avro": _avro,
}
