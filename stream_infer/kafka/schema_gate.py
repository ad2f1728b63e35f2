"""A source that passes on only records whose writer schema is known.

A partition pauses at its first record with an unknown writer schema; the records before it and the other
partitions go on. An outage of the registry costs time, never a record.
"""

from __future__ import annotations

from stream_infer.avro.confluent import NO_HEAD, heads
from stream_infer.flow.events import PartitionsPaused, PauseCause
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Batch, Cursor, Partition
from stream_infer.kafka.batch_parts import rows_before
from stream_infer.kafka.pausable_source import PausableSource
from stream_infer.kafka.writer_schemas import WriterSchemas

# A healthy registry answers within this time; an unhealthy one delays the other partitions no longer.
_PATIENCE_S = 0.25


class SchemaGatedSource:
    """Reads `source`, and pauses partitions whose next schema `writers` does not have yet."""

    def __init__(self, source: PausableSource, writers: WriterSchemas, *, observe: Observer) -> None:
        self._source = source
        self._writers = writers
        self._observe = observe
        self._waiting: dict[Partition, bytes] = {}
        self._reported: frozenset[Partition] = frozenset()

    def read(self, limit: int, wait_s: float) -> Batch | None:
        self._writers.expire()
        if self._waiting:
            self._resume_known()
        batch = self._source.read(limit, wait_s)
        whole = batch if batch is None else self._known_part(batch)
        self._report()
        return whole

    def rewind(self, cursor: Cursor) -> None:
        self._source.rewind(cursor)
        again = self._waiting.keys() & cursor.spans.keys()
        self._source.resume(again)
        self._waiting = {p: head for p, head in self._waiting.items() if p not in again}

    @property
    def finished(self) -> bool:
        return self._source.finished

    def _resume_known(self) -> None:
        """Resume the partitions whose schema is known by now, and ask again about the others."""
        self._writers.take_answers()
        waiting = {p: head for p, head in self._waiting.items() if p in self._source.paused}
        ready = {p for p, head in waiting.items() if head in self._writers.known}
        self._source.resume(ready)
        self._waiting = {p: head for p, head in waiting.items() if p not in ready}
        if self._waiting:
            self._writers.ask(set(self._waiting.values()), patience_s=0)

    def _known_part(self, batch: Batch) -> Batch | None:
        """Return `batch` without the rows that must wait; None when none is left."""
        found = heads(batch.values, batch.headers)
        unknown = set(found) - self._writers.known.keys() - {NO_HEAD}
        if unknown:
            self._writers.ask(unknown, patience_s=_PATIENCE_S)
            unknown -= self._writers.known.keys()
        if not unknown:
            return batch
        first: dict[int, int] = {}
        for row, head in enumerate(found):
            if head in unknown:
                first.setdefault(batch.partition[row], row)
        self._source.pause({batch.partitions[p]: batch.offset[row] for p, row in first.items()})
        self._waiting |= {batch.partitions[p]: found[row] for p, row in first.items()}
        return rows_before(batch, first)

    def _report(self) -> None:
        waiting = frozenset(self._waiting)
        if waiting != self._reported:
            self._reported = waiting
            reason = self._writers.trouble or "the schema registry has not answered yet"
            self._observe(PartitionsPaused(PauseCause.WRITER_SCHEMA, tuple(sorted(waiting)), reason))
