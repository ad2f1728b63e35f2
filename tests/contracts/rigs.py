"""The interface between a contract suite and an implementation: input log, session, visible outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from stream_infer.flow.ports import Sink, Source
from stream_infer.flow.records import Batch, Channel, Outcome, Output


class Rig(Protocol):
    """An input topic of two partitions, a consumer group, and members that join and leave."""

    def append(self, partition: int, values: Sequence[bytes | None]) -> None:
        """Add records to the end of `partition`."""

    def open(self) -> tuple[Source, Sink]:
        """Start a member that owns both partitions. A member before it ends as if killed."""

    def lose_assignment(self) -> None:
        """Revoke the partitions of the member, between its read and its commit."""

    def visible(self) -> list[tuple[int, bytes | None]]:
        """Return (partition, value) of every prediction that a `read_committed` reader sees."""


def copy_of(batch: Batch) -> Outcome:
    """Return an outcome with one prediction for each record: the same value, in the same partition."""
    predictions = Output(
        channel=Channel.PREDICTIONS,
        rows=range(len(batch)),
        keys=batch.keys,
        values=batch.values,
        headers=[None] * len(batch),
        partitions=[batch.source(row).index for row in range(len(batch))],
    )
    return Outcome(batch.cursor, [predictions], len(batch), (), 0, "copy")


def read_all(source: Source, count: int, *, limit: int = 100, tries: int = 200) -> list[Batch]:
    """Read until the batches have `count` records in total; return the batches."""
    batches: list[Batch] = []
    for _ in range(tries):
        if sum(map(len, batches)) >= count:
            return batches
        batch = source.read(limit, 0.1)
        if batch is not None:
            batches.append(batch)
    raise AssertionError(f"read {sum(map(len, batches))} of {count} records")


def values_by_partition(batches: Sequence[Batch]) -> dict[int, list[bytes | None]]:
    """Return the values of `batches` in the order read, for each partition."""
    found: dict[int, list[bytes | None]] = {}
    for batch in batches:
        for row in range(len(batch)):
            found.setdefault(batch.source(row).index, []).append(batch.values[row])
    return found
