"""Columns of a table as fields of an event schema: what a decoder does for bytes, done for Arrow columns.

A column goes to the field of its name; `a.b` is a column of that name, or the field `b` of the struct `a`. A
value that its field cannot have is a rejected row. How one column is converted is in `table_column`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.avro.resolve import ARROW
from stream_infer.avro.schemas import NO_DEFAULT, Leaf, Schema, leaves
from stream_infer.avro.types import Enum, Record, without_null
from stream_infer.flow.errors import Problem
from stream_infer.flow.records import Rejected, Stage
from stream_infer.steps.rows import Rows
from stream_infer.steps.scoring.table_cells import Convert, PlainNumbers
from stream_infer.steps.scoring.table_column import column_converter

Columns = Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True)
class ReadFields:
    """Fields by path of the rows that can be read; `rows[i]` is the table's row of their row i, ascending."""

    columns: Columns
    rows: Rows
    rejected: Sequence[Rejected]


@dataclass(frozen=True, slots=True)
class _Source:
    """A field of the event: its column with the way into it, or the default that every row has."""

    leaf: Leaf
    column: tuple[str, ...] | None
    convert: Convert | None


class TableFields:
    """Reads the fields at `paths` of `schema` from tables of the type `table`.

    With `numbers` the table has nothing but text, as a CSV file has. `problems` says, when it is made, which
    fields the table does not have, or not in a type that the field can take: then it must not be used.
    """

    def __init__(
        self, schema: Schema, paths: Sequence[str], table: pa.Schema, numbers: PlainNumbers | None = None
    ) -> None:
        self.problems: list[Problem] = []
        self._sources: dict[str, _Source] = {}
        known = leaves(schema)
        for path in paths:
            self._sources[path] = self._source(schema, known[path], table, numbers)

    @property
    def table_columns(self) -> list[str]:
        """The columns of the table that are read."""
        return list(dict.fromkeys(source.column[0] for source in self._sources.values() if source.column))

    def read(self, table: pa.RecordBatch) -> ReadFields:
        """Return the fields of the rows of `table`; a row is rejected once, for the first reason."""
        columns: dict[str, pa.Array] = {}
        rejected: dict[int, Rejected] = {}
        for path, source in self._sources.items():
            if source.column is None or source.convert is None:
                value = pa.scalar(source.leaf.default, ARROW[source.leaf.kind])
                columns[path] = pa.repeat(value, table.num_rows)
                continue
            converted = source.convert(_column(table, source.column))
            columns[path] = converted.column
            for fault in converted.faults:
                message = f"field '{path}' {fault.message}"
                for row in fault.rows.tolist():
                    rejected.setdefault(row, Rejected(row, Stage.DECODE, fault.error_class, message))
        return _without(columns, rejected, table.num_rows)

    def _source(self, schema: Schema, leaf: Leaf, table: pa.Schema, numbers: PlainNumbers | None) -> _Source:
        found = _find(table, leaf.path)
        if found is None:
            if leaf.default is NO_DEFAULT:
                self.problems.append(_missing(leaf, table))
            return _Source(leaf, None, None)
        way, kind = found
        convert = column_converter(leaf, kind, symbols_of(schema, leaf.path), numbers)
        if convert is None:
            fix = "convert the column, or give data of the type that the package was made for"
            what = f"the column is {kind}, and the field {leaf.logical or leaf.kind}"
            self.problems.append(Problem(leaf.path, "", what, fix))
        return _Source(leaf, way, convert)


def symbols_of(schema: Schema, path: str) -> Sequence[str] | None:
    """Return the symbols of the enum at `path` of `schema`; None where there is no enum."""
    record: Record = schema.root
    *parents, last = path.split(".")
    for name in parents:
        kind, _ = without_null(next(field.type for field in record.fields if field.name == name))
        if not isinstance(kind, Record):
            return None
        record = kind
    kind, _ = without_null(next(field.type for field in record.fields if field.name == last))
    return kind.symbols if isinstance(kind, Enum) else None


def _find(table: pa.Schema, path: str) -> tuple[tuple[str, ...], pa.DataType] | None:
    if path in table.names:
        return (path,), table.field(path).type
    first, *rest = path.split(".")
    if not rest or first not in table.names:
        return None
    kind = table.field(first).type
    for name in rest:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return (first, *rest), kind


def _column(table: pa.RecordBatch, way: tuple[str, ...]) -> pa.Array:
    column = table.column(way[0])
    return pc.struct_field(column, list(way[1:])) if len(way) > 1 else column


def _without(columns: Columns, rejected: Mapping[int, Rejected], count: int) -> ReadFields:
    if not rejected:
        return ReadFields(columns, np.arange(count, dtype=np.intp), ())
    keep = np.ones(count, dtype=np.bool_)
    keep[list(rejected)] = False
    mask = pa.array(keep)
    kept = {path: column.filter(mask) for path, column in columns.items()}
    return ReadFields(kept, np.flatnonzero(keep), [rejected[row] for row in sorted(rejected)])


def _missing(leaf: Leaf, table: pa.Schema) -> Problem:
    shown = ", ".join(table.names[:12]) + (" and others" if len(table.names) > 12 else "")  # noqa: PLR2004 - a line of names
    what = "the input has no such column, and the field has no default"
    return Problem(leaf.path, "", what, f"give data with the column, or rename one of: {shown}")
