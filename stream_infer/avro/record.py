"""Single records, written and read one at a time: monitoring events and statuses, which are few.

`decode` and `encode` are for batches of events and predictions.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

import fastavro

from stream_infer.avro.framing import Framing, head
from stream_infer.avro.schemas import Schema


class RecordWriter:
    """Writes records of one schema, framed. Timestamps are raw integers or datetimes.

    `schema_id` is for the Confluent framing.
    """

    def __init__(self, schema: Schema, framing: Framing, *, schema_id: int | None = None) -> None:
        self._parsed = schema.parsed
        self._head = head(framing, schema, schema_id)

    def write(self, record: Mapping[str, object]) -> bytes:
        """Return the value of `record`; missing fields take their default. Raises `ValueError`."""
        buffer = io.BytesIO(self._head)
        buffer.seek(len(self._head))
        fastavro.schemaless_writer(buffer, self._parsed, dict(record), strict_allow_default=True)
        return buffer.getvalue()


class RecordReader:
    """Reads records of one schema, of one framing. Timestamps come as datetimes.

    Bytes after the record are ignored: a later release may have appended fields. `earlier` are the schemas
    of earlier releases, newest first, with fewer fields; the missing fields get their default.
    """

    def __init__(self, schema: Schema, framing: Framing, *, earlier: Sequence[Schema] = ()) -> None:
        self._parsed = schema.parsed
        self._writers = [schema.parsed, *(one.parsed for one in earlier)]
        self._head = head(framing, schema)

    def read(self, value: bytes) -> dict[str, Any]:
        """Return the record in `value`. Raises `ValueError` when it is not one of this schema."""
        if not value.startswith(self._head):
            raise ValueError(f"not framed as a record of {self._parsed['name']}")
        datum = value[len(self._head) :]
        problem: Exception | None = None
        for writer in self._writers:
            try:
                record = fastavro.schemaless_reader(io.BytesIO(datum), writer, self._parsed)
            except (EOFError, IndexError, KeyError, OverflowError) as error:
                problem = problem or error
            else:
                return cast("dict[str, Any]", record)
        raise ValueError(f"not a record of {self._parsed['name']}: {problem}") from problem
