"""A log in memory with a source and a sink, and scripted faults: for tests of steps and of the loop.

`MemoryLog` holds the state of a consumer group: records in partitions, committed positions, visible outputs,
and the assignment. Source and sink keep the contracts of `flow.ports` and pass the same test suites as Kafka.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import repeat

from stream_infer.flow.errors import Aborted
from stream_infer.flow.records import Batch, Channel, Cursor, Headers, Outcome, Partition, Span


class Crashed(Exception):
    """The process died here. To continue, make a new source, step and sink on the same log."""


class Fault(Enum):
    """The fault of one commit."""

    NONE = "the commit succeeds"
    ABORT = "nothing becomes visible, `Aborted` is raised"
    CRASH_BEFORE = "the process dies before anything becomes visible"
    CRASH_AFTER = "everything becomes visible, then the process dies"
    REBALANCE = "the partitions move to other members while the batch is being scored"


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One input record of a `MemoryLog`."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers | None = None
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True)
class Visible:
    """One committed output record: channel, partition (None: by key), key, value and headers."""

    channel: Channel
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers | None


@dataclass(slots=True)
class MemoryLog:
    """Input partitions, committed positions and visible outputs, shared by the members of one group."""

    partitions: Mapping[Partition, Sequence[StoredRecord]]
    positions: dict[Partition, int] = field(default_factory=dict)
    visible: list[Visible] = field(default_factory=list)
    generation: int = 0
    owned: frozenset[Partition] | None = None

    def assign(self, owned: Iterable[Partition] | None) -> None:
        """Assign these partitions (None: all) to the member that reads next, in a new generation."""
        self.owned = None if owned is None else frozenset(owned)
        self.generation += 1

    def position(self, partition: Partition) -> int:
        """Return the next offset of `partition` without a committed answer."""
        return self.positions.get(partition, 0)


class MemorySource:
    """Reads a `MemoryLog` round robin over the owned partitions. Finished when it has read to every end."""

    def __init__(self, log: MemoryLog, *, received_ms: int = 0) -> None:
        self._log = log
        self._received_ms = received_ms
        self._generation = log.generation
        self._next = {p: log.position(p) for p in self._owned()}
        self._paused: set[Partition] = set()

    def _owned(self) -> list[Partition]:
        everything = sorted(self._log.partitions)
        return [p for p in everything if self._log.owned is None or p in self._log.owned]

    def _follow_assignment(self) -> None:
        if self._generation != self._log.generation:
            self._generation = self._log.generation
            self._next = {p: self._log.position(p) for p in self._owned()}
            self._paused.clear()

    def read(self, limit: int, wait_s: float) -> Batch | None:  # noqa: ARG002 - memory does not wait
        self._follow_assignment()
        positions = dict(self._next)
        rows: list[tuple[Partition, int]] = []
        while len(rows) < limit:
            ready = [p for p in self._next if self._has_more(p) and p not in self._paused]
            if not ready:
                break
            for p in ready[: limit - len(rows)]:
                rows.append((p, self._next[p]))
                self._next[p] += 1
        return self._batch(rows, positions) if rows else None

    def _batch(self, rows: Sequence[tuple[Partition, int]], positions: Mapping[Partition, int]) -> Batch:
        records = [self._log.partitions[p][offset] for p, offset in rows]
        partitions = sorted({p for p, _ in rows})
        spans = {
            p: Span(min(o for q, o in rows if q == p), 1 + max(o for q, o in rows if q == p))
            for p in partitions
        }
        return Batch(
            cursor=Cursor(spans, self._generation),
            partitions=partitions,
            partition=[partitions.index(p) for p, _ in rows],
            offset=[offset for _, offset in rows],
            timestamp_ms=[r.timestamp_ms for r in records],
            keys=[r.key for r in records],
            values=[r.value for r in records],
            headers=[r.headers for r in records],
            received_ms=self._received_ms,
            positions=positions,
            assignment=self._generation,
            ended={p for p in self._next if not self._has_more(p)},
        )

    def rewind(self, cursor: Cursor) -> None:
        self._follow_assignment()
        for p, span in cursor.spans.items():
            if p in self._next:
                self._next[p] = max(span.first, self._log.position(p))

    @property
    def finished(self) -> bool:
        self._follow_assignment()
        return not any(map(self._has_more, self._next))

    def _has_more(self, partition: Partition) -> bool:
        return self._next[partition] < len(self._log.partitions[partition])

    @property
    def paused(self) -> Collection[Partition]:
        return self._paused

    def pause(self, offsets: Mapping[Partition, int]) -> None:
        owned = {p: offset for p, offset in offsets.items() if p in self._next}
        self._paused |= owned.keys()
        self._next |= owned

    def resume(self, partitions: Collection[Partition]) -> None:
        self._paused.difference_update(partitions)


class MemorySink:
    """Makes outcomes visible in a `MemoryLog`, all or nothing; `script` has one fault for each commit."""

    def __init__(self, log: MemoryLog, script: Iterable[Fault] = ()) -> None:
        self._log = log
        self._script = deque(script)

    def commit(self, outcome: Outcome) -> None:
        fault = self._script.popleft() if self._script else Fault.NONE
        if fault is Fault.REBALANCE:
            self._log.assign(self._log.owned)
        if fault is Fault.CRASH_BEFORE:
            raise Crashed("before the commit")
        if fault is Fault.ABORT:
            raise Aborted("scripted")
        if outcome.cursor.lease != self._log.generation:
            raise Aborted("the batch was read under an older assignment")
        self._apply(outcome)
        if fault is Fault.CRASH_AFTER:
            raise Crashed("after the commit")

    def _apply(self, outcome: Outcome) -> None:
        for output in outcome.outputs:
            targets: Sequence[int | None] = output.partitions or [None] * len(output)
            self._log.visible += map(
                Visible, repeat(output.channel), targets, output.keys, output.values, output.headers
            )
        for p, span in outcome.cursor.spans.items():
            self._log.positions[p] = span.next
