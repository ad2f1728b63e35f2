"""From the values of records to columns and rejected rows: the decoder that a step calls once per batch.

Here values are assigned to their writers, and the columns of several writers merged in the order of the
input. The data of one writer is read in `writer_decoder`; how a record names its writer is in `framing` and
`confluent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import numpy as np
import pyarrow as pa

from stream_infer.avro.confluent import NO_HEAD, Unusable, Writer, split_heads
from stream_infer.avro.framing import HEAD_SIZE, MAGIC, Framing, head
from stream_infer.avro.resolve import ARROW
from stream_infer.avro.schemas import Schema, leaves, other_fields
from stream_infer.avro.types import is_zero_width
from stream_infer.avro.writer_decoder import DecodedRows, WriterDecoder, writer_decoder
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Headers, Rejected, Stage

Columns = Mapping[str, pa.Array]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Columns by path; `rows[i]` is the input row of their row i, ascending. The other rows are rejected."""

    columns: Columns
    rows: Sequence[int]
    rejected: Sequence[Rejected]


class Decoder:
    """Decodes batches of values into the leaves of `reader` at `paths`.

    `writers` are all schemas that values may be written with; framing `NONE` cannot tell them apart and takes
    the first. `reader` is the first writer unless given. The Confluent framing ignores `writers`: its writers
    are `registered` by head, where new ones may appear between two batches; a head keeps its schema.
    Raises `ValueError` without a reader and for a path that is no leaf of it.
    """

    def __init__(
        self,
        framing: Framing,
        writers: Sequence[Schema],
        paths: Sequence[str],
        *,
        reader: Schema | None = None,
        registered: Mapping[bytes, Writer] = MappingProxyType({}),
    ) -> None:
        if reader is None:
            if not writers:
                raise ValueError("A decoder needs the schema of a reader or of at least one writer.")
            reader = writers[0]
        known = leaves(reader)
        for path in paths:
            if path not in known:
                what = other_fields(reader).get(path, "not a field")
                raise ValueError(f"{path} of {reader.name} cannot be a feature: it is {what}.")
        self._framing = framing
        self._reader = reader
        self._registered = registered
        self._paths = tuple(paths)
        self._kinds = tuple(ARROW[known[path].kind] for path in paths)
        used = {Framing.NONE: writers[:1], Framing.CONFLUENT: ()}.get(framing, writers)
        self._decoders = {
            head(framing, writer): writer_decoder(writer.root, reader.root, self._paths) for writer in used
        }
        self._empty_is_datum = framing is Framing.NONE and is_zero_width(writers[0].root)

    def decode(
        self, values: Sequence[bytes | None], headers: Sequence[Headers | None] | None = None
    ) -> Decoded:
        """Return the columns of all values that can be read, and the reasons for the others.

        `headers` are those of the records; only the Confluent framing reads them.
        """
        pieces: list[DecodedRows] = []
        rows, present, rejected = self._present(values)
        heads, data = self._split(rows, present, headers or [None] * len(values))
        for decoder, rows_of, data_of in self._by_writer(rows, heads, data, rejected):
            decoded, refused = decoder.decode(rows_of, data_of)
            pieces.extend(decoded)
            rejected.extend(refused)
        merged = _merge(pieces, self._kinds)
        rejected.sort(key=lambda item: item.row)
        return Decoded(dict(zip(self._paths, merged.arrays, strict=True)), merged.rows, rejected)

    def _present(self, values: Sequence[bytes | None]) -> tuple[Sequence[int], list[bytes], list[Rejected]]:
        """Return the values that are not null or empty, with their rows: nearly always all of them."""
        if all(values):
            return range(len(values)), cast("list[bytes]", values), []
        rows: list[int] = []
        data: list[bytes] = []
        rejected: list[Rejected] = []
        for row, value in enumerate(values):
            if value is None:
                rejected.append(_rejected(row, DeadLetterClass.NULL_VALUE, "The record has no value."))
            elif not value and not self._empty_is_datum:
                rejected.append(_rejected(row, DeadLetterClass.EMPTY, "The value has no bytes."))
            else:
                rows.append(row)
                data.append(value)
        return rows, data, rejected

    def _split(
        self, rows: Sequence[int], values: list[bytes], headers: Sequence[Headers | None]
    ) -> tuple[list[bytes], list[bytes]]:
        """Return the head and the datum of each value; no heads where the framing has none."""
        if self._framing is Framing.CONFLUENT:
            return split_heads(
                values, headers if len(values) == len(headers) else [headers[row] for row in rows]
            )
        size = HEAD_SIZE[self._framing]
        if not size:
            return [], values
        return [value[:size] for value in values], [value[size:] for value in values]

    def _by_writer(
        self, rows: Sequence[int], heads: list[bytes], data: list[bytes], rejected: list[Rejected]
    ) -> Sequence[tuple[WriterDecoder, Sequence[int], list[bytes]]]:
        """Return the data of each writer; add values of unknown writers to `rejected`."""
        if not HEAD_SIZE[self._framing]:
            return [(self._decoders[b""], rows, data)]
        found = set(heads)
        self._add_registered(found)
        known = found & self._decoders.keys()
        if known == found and len(found) == 1:
            return [(self._decoders[heads[0]], rows, data)]
        groups: dict[bytes, tuple[list[int], list[bytes]]] = {start: ([], []) for start in sorted(known)}
        for row, start, datum in zip(rows, heads, data, strict=True):
            if start in groups:
                groups[start][0].append(row)
                groups[start][1].append(datum)
            else:
                rejected.append(self._unknown_writer(row, start))
        return [(self._decoders[start], rows_of, data_of) for start, (rows_of, data_of) in groups.items()]

    def _add_registered(self, found: set[bytes]) -> None:
        """Make decoders for writers that were registered since the last batch."""
        for start in found - self._decoders.keys():
            writer = self._registered.get(start)
            if isinstance(writer, Schema):
                self._decoders[start] = writer_decoder(writer.root, self._reader.root, self._paths)

    def _unknown_writer(self, row: int, start: bytes) -> Rejected:
        writer = self._registered.get(start)
        if isinstance(writer, Unusable):
            return _rejected(row, writer.error_class, writer.reason)
        if self._framing is Framing.CONFLUENT:
            is_head = start != NO_HEAD
        else:
            is_head = len(start) == HEAD_SIZE[self._framing] and start.startswith(MAGIC[self._framing])
        if not is_head:
            return _rejected(
                row, DeadLetterClass.BAD_MAGIC, f"The value does not begin as {self._framing} framing does."
            )
        what = "fingerprint" if self._framing is Framing.SINGLE_OBJECT else "id"
        name = start[len(MAGIC[self._framing]) :].hex()
        return _rejected(row, DeadLetterClass.UNKNOWN_SCHEMA, f"No known schema has the {what} {name}.")


def _merge(pieces: Sequence[DecodedRows], kinds: Sequence[pa.DataType]) -> DecodedRows:
    """Return all pieces as one, its rows ascending."""
    if not pieces:
        return DecodedRows((), [pa.array([], kind) for kind in kinds])
    if len(pieces) == 1:
        return pieces[0]
    rows = np.concatenate([np.asarray(piece.rows, np.int64) for piece in pieces])
    order = np.argsort(rows)
    arrays = [
        pa.concat_arrays([piece.arrays[at] for piece in pieces]).take(order) for at in range(len(kinds))
    ]
    return DecodedRows(rows[order].tolist(), arrays)


def _rejected(row: int, error_class: DeadLetterClass, message: str) -> Rejected:
    return Rejected(row, Stage.DECODE, error_class, message)
