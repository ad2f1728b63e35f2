"""Rows of a data file as events of a schema: columns to fields, values to Avro values.

A column goes to the field of its name; `a.b` is the field `b` of the record in field `a`. Reading a file is
in `files`, converting a single value in `values`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from stream_infer.avro.schemas import Schema
from stream_infer.avro.types import (
    NO_DEFAULT,
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Record,
    Scalar,
    Type,
    Union,
    describe_type,
    is_null,
    is_nullable,
)
from stream_infer.datasets.files import DataRow
from stream_infer.datasets.values import Misfit, enum_value, fixed_value, scalar_value
from stream_infer.packaging.csv_layout import DEFAULT_LAYOUT, NUMBERS, CsvLayout
from stream_infer.packaging.event_builder import zero_value

_NOT_IN_CSV = "give the rows as JSON Lines, Parquet or Avro"
_SHOWN = 12


class FieldMisfit(ValueError):
    """A value that does not fit its field: the path of the field, the value, what is wrong, and the fix."""

    def __init__(self, field: str, value: object, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.field, self.value, self.fix = field, value, fix


class RowConverter:
    """Converts rows to events of `schema`.

    `renamed` is column -> field path, for columns with other names. A field without a column takes its
    default, else null; with `fill` also the zero of its type (0, empty text, the first symbol). `unused` are
    the columns that no field has, `filled` the fields that took a zero. `layout` is that of numbers as text.
    """

    def __init__(
        self, schema: Schema, renamed: Mapping[str, str], *, fill: bool, layout: CsvLayout = DEFAULT_LAYOUT
    ) -> None:
        self._root = schema.root
        self._layout = layout
        self._renamed = renamed
        self._fill = fill
        self.unused: set[str] = set()
        self.filled: set[str] = set()

    def event(self, row: DataRow) -> dict[str, Any]:
        """Return the event of `row`. Raises `FieldMisfit`."""
        tree = _Columns()
        for column, value in row.items():
            *parents, last = self._renamed.get(column, column).split(".")
            inside: Any = tree
            for name in parents:
                inside = inside.setdefault(name, _Columns())
                if not isinstance(inside, dict):
                    reason = "is a column beside that of its record"
                    raise FieldMisfit(column, value, reason, "remove one of the two")
            inside[last] = value
        return self._record(self._root, tree, "")

    def _record(self, record: Record, values: Mapping[str, object], path: str) -> dict[str, Any]:
        fields = {field.name for field in record.fields}
        self.unused.update(path + name for name in values if name not in fields)
        event = {}
        for field in record.fields:
            if field.name in values:
                event[field.name] = self._value(field.type, values[field.name], path + field.name)
            elif field.default is NO_DEFAULT:
                event[field.name] = self._absent(field, values, path)
        return event

    def _absent(self, field: Field, values: Mapping[str, object], path: str) -> object:
        if is_nullable(field.type):
            return None
        if self._fill:
            self.filled.add(path + field.name)
            return zero_value(field.type)
        near = get_close_matches(field.name, list(values), n=1)
        columns = near or list(values)[:_SHOWN]
        fix = f"rename a column ({', '.join(columns)}), or use --map COLUMN={path}{field.name}, or --fill"
        reason = f"has no column, and the field ({describe_type(field.type)}) has no default"
        raise FieldMisfit(path + field.name, None, reason, fix)

    def _value(self, kind: Type, value: object, path: str) -> Any:  # noqa: ANN401 - a value of any Avro type
        try:
            match kind:
                case Scalar():
                    return scalar_value(kind, self._plain(kind, value))
                case Enum():
                    return enum_value(kind, value)
                case Fixed():
                    return fixed_value(kind, value)
        except Misfit as misfit:
            raise FieldMisfit(path, value, str(misfit), misfit.fix) from misfit
        match kind, value:
            case Array(), list() | tuple():
                return [self._value(kind.items, item, f"{path}[{at}]") for at, item in enumerate(value)]
            case Map(), dict():
                return {
                    str(key): self._value(kind.values, one, f"{path}.{key}") for key, one in value.items()
                }
            case Map(), list():  # Arrow's form of a map
                return {str(key): self._value(kind.values, one, f"{path}.{key}") for key, one in value}
            case Record(), dict():
                return self._record(kind, value, f"{path}.")
            case Union(), _:
                return self._branch(kind, value, path)
        raise FieldMisfit(path, value, f"is not {describe_type(kind)}", _NOT_IN_CSV)

    def _plain(self, kind: Scalar, value: object) -> object:
        is_text = isinstance(value, str) and kind.kind in NUMBERS and kind.logical is None
        return self._layout.plain_number(str(value)) if is_text else value

    def _branch(self, union: Union, value: object, path: str) -> Any:  # noqa: ANN401 - a value of any Avro type
        if is_nullable(union) and (value is None or _empty(value)):
            return None
        branches = [branch for branch in union.branches if not is_null(branch)]
        if len(branches) == 1:
            return self._value(branches[0], value, path)
        for branch in sorted(branches, key=lambda branch: not _is_natural(branch, value)):
            try:
                return self._value(branch, value, path)
            except FieldMisfit:
                continue
        kinds = " and ".join(map(describe_type, branches))
        raise FieldMisfit(
            path, value, f"fits no branch of the union of {kinds}", "write a value of one of these"
        )


class _Columns(dict[str, Any]):
    """The values of a record, from columns `a.b`, `a.c`; a nullable record is null where all are empty."""


def _empty(value: object) -> bool:
    return isinstance(value, _Columns) and all(one is None or _empty(one) for one in value.values())


def _is_natural(kind: Type, value: object) -> bool:
    """Tell whether Python's type of `value` is that of `kind`: 1 is an integer before it is a boolean."""
    natural: Sequence[type] = _NATURAL.get(kind.kind if isinstance(kind, Scalar) else type(kind).__name__, ())
    return type(value) in natural


_NATURAL: Mapping[str, Sequence[type]] = {
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float,),
    "double": (float,),
    "string": (str,),
    "bytes": (bytes,),
    "Record": (dict, _Columns),
    "Map": (dict,),
    "Array": (list,),
}
