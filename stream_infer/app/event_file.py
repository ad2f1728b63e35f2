"""The rows of a data file as the events that a producer would send: key, datum, and every bad row at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stream_infer.avro.schemas import Schema, leaves
from stream_infer.common.printable import printable
from stream_infer.datasets.files import read_rows
from stream_infer.datasets.row_events import FieldMisfit, RowConverter
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.csv_layout import CsvLayout
from stream_infer.packaging.datum import encode_datum
from stream_infer.packaging.options import listed

_MOST_PROBLEMS = 20
_VALUE_CHARACTERS = 80


class FileEvent(NamedTuple):
    """The event of a row: the row's number from 1 on, the record's key, and the datum without framing."""

    row: int
    key: bytes | None
    datum: bytes


class EventFile:
    """Events of `schema` from the file at `path`.

    `renamed` and `fill` are as in `RowConverter`; `key_field` is the path of the field whose text is the key;
    `layout` is that of a CSV file.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        renamed: Mapping[str, str],
        fill: bool,
        key_field: str | None,
        layout: CsvLayout,
    ) -> None:
        self._path, self._schema, self._key_field, self._layout = path, schema, key_field, layout
        self._converter = RowConverter(schema, renamed, fill=fill, layout=layout)

    def check(self) -> int:
        """Read the whole file and return the number of its rows.

        Raises `Misconfigured` with the problems of the first bad rows, or of the file.
        """
        if self._key_field is not None and self._key_field not in leaves(self._schema):
            fix = f"use one of: {listed(leaves(self._schema))}"
            raise Misconfigured([Problem("--key-field", self._key_field, "is no scalar field", fix)])
        problems: list[Problem] = []
        rows = 0
        for rows, row in enumerate(read_rows("FILE", self._path, self._layout), 1):
            try:
                self._event(rows, row)
            except Misconfigured as error:
                problems += error.problems
                if len(problems) == _MOST_PROBLEMS:
                    break
        if problems:
            raise Misconfigured(problems)
        return rows

    def notes(self) -> Sequence[str]:
        """Return notes about columns and fields for the user, after `check`."""
        notes = []
        if self._converter.unused:
            notes.append(f"columns without a field in {self._schema.name}: {listed(self._converter.unused)}")
        if self._converter.filled:
            notes.append(f"fields without a column, sent as zero: {listed(self._converter.filled)}")
        return [printable(note) for note in notes]

    def events(self) -> Iterator[FileEvent]:
        """Yield the events in the order of the rows. Raises what `check` raises, for one row."""
        for number, row in enumerate(read_rows("FILE", self._path, self._layout), 1):
            yield self._event(number, row)

    def _event(self, number: int, row: Mapping[str, object]) -> FileEvent:
        place = f"{self._path.name}, row {number}"
        try:
            event = self._converter.event(row)
            return FileEvent(number, self._key(event), encode_datum(self._schema, event))
        except FieldMisfit as misfit:
            shown = "" if misfit.value is None else printable(repr(misfit.value))[:_VALUE_CHARACTERS]
            key = f"{place}, field {printable(misfit.field)}"
            raise Misconfigured([Problem(key, shown, str(misfit), misfit.fix)]) from misfit
        except ValueError as error:
            fix = "correct the row, or the schema"
            raise Misconfigured([Problem(place, "", printable(str(error)), fix)]) from error

    def _key(self, event: Mapping[str, Any]) -> bytes | None:
        if self._key_field is None:
            return None
        value: Any = event
        for name in self._key_field.split("."):
            value = None if value is None else value.get(name)
        return None if value is None else str(value).encode()
