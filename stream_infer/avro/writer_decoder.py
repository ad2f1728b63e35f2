"""One writer's data, from bytes to the columns of the reader.

The fast reader takes what it can, the strict reader what is left; both give the same raw columns, and from
there on there is one path. Either reads no more at once than fits into `PIECE_BYTES`, by the bound of the
schema; a datum alone that may take more than `RECORD_BYTES` is counted before it is read. Which bytes belong
to which writer is decided in `decode`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from stream_infer.avro import fast_reader, pyruhvro_schema, resolve, strict
from stream_infer.avro.decoded_size import SizeBound, arrow_bound, object_bound
from stream_infer.avro.leaf_columns import NUMBER, as_number, unwrapped, unwrapped_field
from stream_infer.avro.resolve import Constant, Incompatible, Plan, ReadField
from stream_infer.avro.types import Record, is_zero_width
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Rejected, Stage

Rows = Sequence[int]

PIECE_BYTES = 2**26
"""What is decoded at once, in bytes of columns."""

RECORD_BYTES = 2**27
"""The most that one record may take, in bytes of columns. Beyond 2 GB in a column pyruhvro would panic."""


@dataclass(frozen=True, slots=True)
class DecodedRows:
    """Some rows of the input in any order, with one array per path."""

    rows: Rows
    arrays: Sequence[pa.Array]


@dataclass(frozen=True, slots=True)
class WriterDecoder:
    """A writer's schema resolved to a reader's. `fast` is None where only the strict reader can read.

    `columns` is the column of `fast` by the index of the writer's field.
    """

    plans: Sequence[Plan]
    fast: fast_reader.FastReader | None
    columns: Mapping[int, int]
    read_strictly: Callable[[bytes], Sequence[object]]
    bound: SizeBound
    count: Callable[[bytes], object]
    piece_bytes: int = PIECE_BYTES
    record_bytes: int = RECORD_BYTES

    def decode(self, rows: Rows, data: Sequence[bytes]) -> tuple[Sequence[DecodedRows], Sequence[Rejected]]:
        """Return the columns of `data`, whose input rows are `rows`, and the rejected rows."""
        reason = next((plan.reason for plan in self.plans if isinstance(plan, Incompatible)), None)
        if reason is not None:
            return (), [_rejected(row, DeadLetterClass.SCHEMA_INCOMPATIBLE, reason) for row in rows]
        if self.bound.of(len(data), sum(map(len, data))) <= self.piece_bytes:
            return self._read(rows, data)
        return self._in_pieces(rows, data)

    def _in_pieces(
        self, rows: Rows, data: Sequence[bytes]
    ) -> tuple[Sequence[DecodedRows], Sequence[Rejected]]:
        pieces: list[DecodedRows] = []
        rejected: list[Rejected] = []
        for first, end in self.bound.pieces(list(map(len, data)), self.piece_bytes):
            read, refused = self._piece(rows[first:end], data[first:end])
            pieces.extend(read)
            rejected.extend(refused)
        return pieces, rejected

    def _piece(self, rows: Rows, data: Sequence[bytes]) -> tuple[Sequence[DecodedRows], Sequence[Rejected]]:
        """Return one of several pieces, with none of the memory that it was read in."""
        if len(data) == 1 and self.bound.of(1, len(data[0])) > self.record_bytes:
            refused = self._check([0], rows, data, self.count)
            if refused:
                return (), refused
        read, refused = self._read(rows, data)
        return [_copied(piece) for piece in read], refused

    def _read(self, rows: Rows, data: Sequence[bytes]) -> tuple[Sequence[DecodedRows], Sequence[Rejected]]:
        if self.fast is None:
            return self._all_strictly(rows, data)
        batch, suspects = self.fast.read(data)
        if batch is not None:
            return self._converted(rows, self._extracted(batch))
        rejected = self._check(suspects, rows, data, self.read_strictly)
        bad = {item.row for item in rejected}
        good = [(row, datum) for row, datum in zip(rows, data, strict=True) if row not in bad]
        rows, data = [row for row, _ in good], [datum for _, datum in good]
        batch, suspects = self.fast.read(data)
        # Both readers accept the same bytes (a property test); if they did not, the strict one would decide.
        pieces, unfit = (
            self._all_strictly(rows, data) if batch is None else self._converted(rows, self._extracted(batch))
        )
        return pieces, (*rejected, *unfit)

    def _extracted(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Return the raw column of each leaf; a null record makes the leaves in it null."""
        arrays = []
        for plan in self.plans:
            if not isinstance(plan, ReadField):
                arrays.append(pa.nulls(batch.num_rows))
                continue
            first, *others = plan.indices
            column = unwrapped(batch.column(self.columns[first]))
            for index in others:
                column = unwrapped_field(column, pyruhvro_schema.name(index))
            arrays.append(column)
        return arrays

    def _check(
        self, suspects: Sequence[int], rows: Rows, data: Sequence[bytes], read: Callable[[bytes], object]
    ) -> Sequence[Rejected]:
        rejected = []
        for at in suspects:
            try:
                read(data[at])
            except strict.Malformed as error:
                rejected.append(_rejected(rows[at], error.error_class, str(error)))
        return rejected

    def _all_strictly(
        self, rows: Rows, data: Sequence[bytes]
    ) -> tuple[Sequence[DecodedRows], Sequence[Rejected]]:
        """Read every row with the strict reader."""
        good, records, rejected = [], [], []
        for row, datum in zip(rows, data, strict=True):
            try:
                records.append(self.read_strictly(datum))
                good.append(row)
            except strict.Malformed as error:
                rejected.append(_rejected(row, error.error_class, str(error)))
        if not good:
            return (), rejected
        arrays = [
            _raw_column([_leaf(record, plan.indices) for record in records], plan)
            if isinstance(plan, ReadField)
            else pa.nulls(len(records))
            for plan in self.plans
        ]
        pieces, unfit = self._converted(good, arrays)
        return pieces, (*rejected, *unfit)

    def _converted(
        self, rows: Rows, raw: Sequence[pa.Array]
    ) -> tuple[Sequence[DecodedRows], Sequence[Rejected]]:
        """Return one piece in the reader's types, without the rows whose values do not fit."""
        arrays = []
        rejected: dict[int, Rejected] = {}
        for plan, column in zip(self.plans, raw, strict=True):
            match plan:
                case ReadField():
                    array, unfit = resolve.finish_column(column, plan)
                    for bad in unfit:
                        for at in pc.indices_nonzero(bad.mask).to_pylist():
                            rejected.setdefault(at, _rejected(rows[at], bad.error_class, bad.message))
                    arrays.append(array)
                case Constant():
                    arrays.append(pa.repeat(pa.scalar(plan.value, resolve.ARROW[plan.target]), len(rows)))
                case Incompatible():  # `decode` has rejected every row
                    arrays.append(pa.nulls(len(rows)))
        if not rejected:
            return (DecodedRows(rows, arrays),), ()
        kept = [at for at in range(len(rows)) if at not in rejected]
        piece = DecodedRows(
            [rows[at] for at in kept], [array.take(pa.array(kept, pa.int64())) for array in arrays]
        )
        return (piece,), tuple(rejected.values())


def writer_decoder(writer: Record, reader: Record, paths: Sequence[str]) -> WriterDecoder:
    """Return the decoder of `writer` data into the leaves of `reader` at `paths`."""
    plans = tuple(resolve.resolve_path(path, writer, reader) for path in paths)
    widths = [index for index, field in enumerate(writer.fields) if not is_zero_width(field.type)]
    columns = {index: at for at, index in enumerate(widths)}
    # The words that stand for fixed bytes are floats, and a library may change the bits of a NaN.
    exact = not any(isinstance(plan, ReadField) and plan.fixed for plan in plans)
    fast = fast_reader.fast_reader(writer) if exact else None
    return WriterDecoder(
        plans,
        fast,
        columns,
        strict.reader(writer),
        object_bound(writer) if fast is None else arrow_bound(writer),
        _counter(writer, RECORD_BYTES),
    )


def _counter(writer: Record, most: int) -> Callable[[bytes], object]:
    """Return a function that raises `Malformed` for a datum that would take more than `most` bytes."""
    taken = 0
    row_bytes = arrow_bound(writer).row

    def add(size: int) -> None:
        nonlocal taken
        taken += size
        if taken > most:
            raise strict.Malformed(
                DeadLetterClass.DECODED_TOO_LARGE,
                f"The record takes more than {most} bytes once it is decoded, most of them items of arrays.",
            )

    read = strict.reader(writer, add)

    def count(datum: bytes) -> object:
        nonlocal taken
        taken = row_bytes + len(datum)
        return read(datum)

    return count


def _copied(piece: DecodedRows) -> DecodedRows:
    """Return `piece` without the memory of the columns beside its own, which came in one with them."""
    return DecodedRows(piece.rows, [pa.concat_arrays([array]) for array in piece.arrays])


def _raw_column(values: Sequence[object], plan: ReadField) -> pa.Array:
    return pa.array(map(as_number, values) if plan.raw == NUMBER else values, plan.raw)


def _leaf(record: object, indices: Sequence[int]) -> object:
    for index in indices:
        if not isinstance(record, list | tuple):
            return None
        record = record[index]
    return record


def _rejected(row: int, error_class: DeadLetterClass, message: str) -> Rejected:
    return Rejected(row, Stage.DECODE, error_class, message)
