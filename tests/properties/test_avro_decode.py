"""The readers of Avro agree: fastavro on data that is valid, fast and strict on any bytes at all."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import fastavro
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.avro import fast_reader, strict
from stream_infer.avro.decode import Decoded, Decoder
from stream_infer.avro.decoded_size import arrow_bound
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, leaves, parse_schema
from stream_infer.avro.types import Array, Enum, Fixed, Map, Record, Scalar, Type, Union, is_null

_SCALARS = ("boolean", "int", "long", "float", "double", "string", "bytes")
_EXACT = settings(deadline=None)
_WIDE = settings(deadline=None, max_examples=300)
_MANY = 100
_OWN = 1.0


class Types:
    """Draws types as JSON; every named type has a name of its own."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.names = (f"t{number}" for number in count())

    def any(self, depth: int) -> Any:
        flat = [self.scalar, self.nullable, self.enum, self.fixed, self.decimal, self.numbers, self.only]
        deep = [self.nullable, self.record, self.array, self.map, self.union, self.only]
        return self.draw(st.sampled_from(flat + deep if depth else flat))(depth)

    def scalar(self, _depth: int) -> Any:
        return self.draw(st.sampled_from(_SCALARS))

    def nullable(self, depth: int) -> Any:
        inner = self.any(depth - 1) if depth else self.scalar(0)
        if isinstance(inner, list):
            return inner
        return ["null", inner] if self.draw(st.booleans()) else [inner, "null"]

    def enum(self, _depth: int) -> Any:
        symbols = list("ABC")[: self.draw(st.integers(1, 3))]
        return {"type": "enum", "name": next(self.names), "symbols": symbols}

    def fixed(self, _depth: int) -> Any:
        size = self.draw(st.sampled_from((0, 3, 4, 8, 12, 16)))
        return {"type": "fixed", "name": next(self.names), "size": size}

    def decimal(self, _depth: int) -> Any:
        digits = {"logicalType": "decimal", "precision": 28, "scale": self.draw(st.integers(0, 28))}
        if self.draw(st.booleans()):
            return {"type": "bytes", **digits}
        return {"type": "fixed", "name": next(self.names), "size": 12, **digits}

    def numbers(self, _depth: int) -> Any:
        branches = ("null", "int", "long", "float", "double")
        return self.draw(st.lists(st.sampled_from(branches), min_size=3, max_size=4, unique=True))

    def only(self, depth: int) -> Any:
        inner = self.any(depth - 1) if depth else self.scalar(0)
        return inner if isinstance(inner, list) else [inner]

    def array(self, depth: int) -> Any:
        return {"type": "array", "items": self.wide(depth - 1)}

    def map(self, depth: int) -> Any:
        return {"type": "map", "values": self.wide(depth - 1)}

    def union(self, depth: int) -> Any:
        scalars = self.draw(st.lists(st.sampled_from(("null", *_SCALARS)), unique=True, max_size=3))
        return [*scalars, self.record(depth), self.array(depth)]

    def record(self, depth: int) -> Any:
        kinds = self.draw(st.lists(st.sampled_from((self.any,) * 9 + (lambda _depth: "null",)), max_size=3))
        fields = [{"name": f"a{at}", "type": kind(max(depth - 1, 0))} for at, kind in enumerate(kinds)]
        return {"type": "record", "name": next(self.names), "fields": fields}

    def wide(self, depth: int) -> Any:
        """A type whose values take at least a byte."""
        inner = self.any(depth)
        zero = isinstance(inner, dict) and (inner["type"] == "record" or inner.get("size") == 0)
        return ["null", inner] if zero else inner


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Any record schema of moderate size, every kind of type and nesting in it."""
    return parse_schema(json.dumps(Types(draw).record(3)))


def values(kind: Type) -> st.SearchStrategy[Any]:
    """What fastavro writes as a value of `kind`."""
    match kind:
        case Scalar():
            return {
                "null": st.none(),
                "boolean": st.booleans(),
                "int": st.integers(-(2**31), 2**31 - 1),
                "long": st.integers(-(2**63), 2**63 - 1),
                "float": st.floats(width=32),
                "double": st.floats(),
                "string": st.text(max_size=5),
                "bytes": st.binary(max_size=5),
            }[kind.kind]
        case Enum():
            return st.sampled_from(kind.symbols)
        case Fixed():
            return st.binary(min_size=kind.size, max_size=kind.size)
        case Array():
            return st.lists(values(kind.items), max_size=3)
        case Map():
            return st.dictionaries(st.text(max_size=3), values(kind.values), max_size=3)
        case Union():
            return st.one_of([_tagged(branch) for branch in kind.branches])
        case Record():
            return st.fixed_dictionaries({field.name: values(field.type) for field in kind.fields})


def _tagged(branch: Type) -> st.SearchStrategy[Any]:
    if is_null(branch):
        return st.none()
    match branch:
        case Scalar():
            name = branch.kind
        case Array():
            name = "array"
        case Map():
            name = "map"
        case _:
            name = branch.name
    return values(branch).map(lambda value: (name, value))


def write(schema: Schema, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, value)
    return out.getvalue()


def as_strict(kind: Type, value: Any) -> Any:
    """What the strict reader gives for what fastavro reads: records as tuples, no arrays and no maps."""
    match kind:
        case Record():
            return tuple(as_strict(field.type, value[field.name]) for field in kind.fields)
        case Array() | Map():
            return None
        case Union() if value is None:
            return None
        case Union():
            name, inner = value
            return as_strict(next(b for b in kind.branches if _name(b) == name), inner)
        case _:
            return value


def _name(kind: Type) -> str:
    match kind:
        case Scalar():
            return kind.kind
        case Array():
            return "array"
        case Map():
            return "map"
        case Union():
            return "union"
        case _:
            return kind.name


@st.composite
def data(draw: st.DrawFn, schema: Schema) -> bytes:
    """A datum as written, or one that something happened to."""
    datum = write(schema, draw(values(schema.root)))
    match draw(st.sampled_from(("whole", "whole", "cut", "longer", "changed", "noise"))):
        case "cut":
            return datum[: draw(st.integers(0, len(datum)))]
        case "longer":
            return datum + draw(st.binary(min_size=1, max_size=12))
        case "changed" if datum:
            at = draw(st.integers(0, len(datum) - 1))
            return datum[:at] + draw(st.binary(min_size=1, max_size=3)) + datum[at + 1 :]
        case "noise":
            return draw(st.binary(max_size=24))
        case _:
            return datum


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schema, Sequence[bytes]]:
    schema = draw(schemas())
    return schema, draw(st.lists(data(schema), min_size=1, max_size=6))


def shown(decoded: Decoded) -> str:
    """Everything in `decoded`, NaN equal to itself."""
    columns = {path: (str(column.type), column.to_pylist()) for path, column in decoded.columns.items()}
    return repr((columns, list(decoded.rows), decoded.rejected))


def strictly(decoder: Decoder) -> Decoder:
    decoder._decoders = {head: replace(one, fast=None) for head, one in decoder._decoders.items()}
    return decoder


def row_by_row(decoder: Decoder) -> Decoder:
    decoder._decoders = {head: replace(one, piece_bytes=0) for head, one in decoder._decoders.items()}
    return decoder


@_EXACT
@given(st.data())
def test_strict_reads_what_fastavro_wrote_and_reads(draw: st.DataObject) -> None:
    schema = draw.draw(schemas())
    value = draw.draw(values(schema.root))
    datum = write(schema, value)

    read = tuple(strict.reader(schema.root)(datum))

    theirs = fastavro.schemaless_reader(
        io.BytesIO(datum), schema.parsed, return_record_name=True, return_named_type=True
    )
    assert repr(read) == repr(as_strict(schema.root, value))
    assert fastavro.schemaless_reader(io.BytesIO(datum), schema.parsed).keys() == theirs.keys()


@_WIDE
@given(cases())
def test_fast_accepts_a_row_exactly_when_strict_does(case: tuple[Schema, Sequence[bytes]]) -> None:
    schema, rows = case
    fast = fast_reader.fast_reader(schema.root)
    read_strictly = strict.reader(schema.root)
    if fast is None:
        return

    for row in rows:
        batch, _ = fast.read([row])
        try:
            read_strictly(row)
        except strict.Malformed:
            assert batch is None
        else:
            assert batch is not None


@_EXACT
@given(st.data())
def test_columns_take_no_more_than_the_bound_and_the_count(draw: st.DataObject) -> None:
    schema = draw.draw(schemas())
    rows = [write(schema, value) for value in draw.draw(st.lists(values(schema.root), min_size=1))]
    fast = fast_reader.fast_reader(schema.root)
    if fast is None:
        return

    # One row many times, for a column has a few bytes of its own.
    batches = {row: fast.read([row] * _MANY)[0] for row in rows}
    bound = arrow_bound(schema.root)

    for row, batch in batches.items():
        assert batch is not None
        counted: list[int] = []
        strict.reader(schema.root, counted.append)(row)
        taken = (batch.nbytes - batch.column(batch.num_columns - 1).nbytes) / _MANY
        assert taken <= bound.row + len(row) + sum(counted) + _OWN
        assert bound.row + len(row) + sum(counted) <= bound.of(1, len(row))


@_WIDE
@given(cases())
def test_a_batch_decodes_alike_fast_and_strictly(case: tuple[Schema, Sequence[bytes]]) -> None:
    schema, rows = case
    paths = list(leaves(schema))

    fast = Decoder(Framing.NONE, [schema], paths).decode(rows)
    slow = strictly(Decoder(Framing.NONE, [schema], paths)).decode(rows)

    assert (
        shown(fast) == shown(slow) == shown(row_by_row(Decoder(Framing.NONE, [schema], paths)).decode(rows))
    )
    assert sorted([*fast.rows, *(item.row for item in fast.rejected)]) == list(range(len(rows)))


@_EXACT
@given(st.data())
def test_columns_hold_what_fastavro_reads(draw: st.DataObject) -> None:
    schema = draw.draw(schemas())
    rows = draw.draw(st.lists(values(schema.root), min_size=1, max_size=5))
    data = [write(schema, row) for row in rows]

    decoded = Decoder(Framing.NONE, [schema], list(leaves(schema))).decode(data)

    theirs = [fastavro.schemaless_reader(io.BytesIO(datum), schema.parsed) for datum in data]
    assert {one.error_class for one in decoded.rejected} <= {"out_of_precision", "empty"}
    if not decoded.rejected:
        assert list(decoded.rows) == list(range(len(rows)))
    for path, column in decoded.columns.items():
        found = [dig(theirs[row], path) for row in decoded.rows]
        if column.type == pa.float64():
            found = [None if one is None else float(one) for one in found]
        expected = pa.array(found, column.type)
        assert repr(column.to_pylist()) == repr(expected.to_pylist())


def dig(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = None if record is None else record[name]
    return record
