"""Parts of a batch, for sources that pause partitions in the middle of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stream_infer.flow.records import Batch, Span


def rows_before(batch: Batch, first: Mapping[int, int]) -> Batch | None:
    """Return the rows of `batch` that come before row `first[p]` in their partition p."""
    rows = [row for row, p in enumerate(batch.partition) if p not in first or row < first[p]]
    if not rows:
        return None
    stops = {batch.partitions[p]: batch.offset[row] for p, row in first.items()}
    spans = {p: Span(s.first, stops.get(p, s.next)) for p, s in batch.cursor.spans.items()}
    cursor = replace(batch.cursor, spans={p: span for p, span in spans.items() if span.first < span.next})
    return replace(batch_of_rows(batch, rows), cursor=cursor)


def batch_of_rows(batch: Batch, rows: Sequence[int]) -> Batch:
    """Return some rows of `batch`, with its cursor."""
    return replace(
        batch,
        partition=[batch.partition[row] for row in rows],
        offset=[batch.offset[row] for row in rows],
        timestamp_ms=[batch.timestamp_ms[row] for row in rows],
        keys=[batch.keys[row] for row in rows],
        values=[batch.values[row] for row in rows],
        headers=[batch.headers[row] for row in rows],
        unreadable_headers=[at for at, row in enumerate(rows) if row in set(batch.unreadable_headers)],
    )
