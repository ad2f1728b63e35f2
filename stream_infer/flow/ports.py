"""The four ports that every role is built from. Their contracts are executable: `tests/contracts`.

One thread calls a source, a step and a sink in turn: read, step, commit. Nobody else touches them.
"""

from __future__ import annotations

from typing import Protocol

from stream_infer.flow.events import Event
from stream_infer.flow.records import Batch, Cursor, Outcome


class Source(Protocol):
    """Ordered batches of records. A source never commits a record; only a sink moves a group past one."""

    def read(self, limit: int, wait_s: float) -> Batch | None:
        """Return up to `limit` (>= 1) records, or None when none came within `wait_s` seconds.

        May block for `wait_s`. Records of a partition come in offset order, without gaps that the log does
        not have. Only partitions owned at return are in it. Raises `Fatal` when no batch can ever come.
        """

    def rewind(self, cursor: Cursor) -> None:
        """Make the next reads start at the first offset of each span that is still owned.

        Called after `Aborted`, before the next read. Spans of partitions owned by others are ignored.
        """

    @property
    def finished(self) -> bool:
        """Whether the end is reached for good. A Kafka topic has no end; a file and a test have one."""


class Step(Protocol):
    """A pure program from a batch to its outcome. Reads no clock and does no I/O."""

    def __call__(self, batch: Batch) -> Outcome:
        """Return the outcome of `batch`, with its cursor. The same batch gives the same answers.

        Raises `Fatal` when the program itself is broken; a bad record is a value in the outcome.
        """

    def forget(self) -> None:
        """Go back to the state of the last committed outcome. Called after `Aborted`."""


class Sink(Protocol):
    """Atomic visibility: outputs and cursor become durable together, or neither does."""

    def commit(self, outcome: Outcome) -> None:
        """Make all outputs of `outcome` visible and its cursor durable, in one act.

        May block. Returns only when it is done. Raises `Aborted` only when it is certain that nothing is
        visible; an unknown result is resolved inside, or raises `Fatal` so that a restart resolves it. Begins
        and ends what it needs (a transaction, a file) in this one call.
        """


class Observer(Protocol):
    """Receives events. Called with a frozen event, a handful per batch, on the loop's thread.

    Must not block and must not raise.
    """

    def __call__(self, event: Event, /) -> None:
        """Take note of `event`."""
