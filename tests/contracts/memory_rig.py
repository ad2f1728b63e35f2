"""The rig of the in-memory log."""

from __future__ import annotations

from collections.abc import Sequence

from stream_infer.flow.ports import Sink, Source
from stream_infer.flow.records import Partition
from stream_infer.testing.memory import MemoryLog, MemorySink, MemorySource, StoredRecord


class MemoryRig:
    """See `rigs.Rig`."""

    def __init__(self) -> None:
        self._records: dict[Partition, list[StoredRecord]] = {Partition("events", i): [] for i in range(2)}
        self.log = MemoryLog(self._records)

    def append(self, partition: int, values: Sequence[bytes | None]) -> None:
        self._records[Partition("events", partition)] += map(StoredRecord, values)

    def open(self) -> tuple[Source, Sink]:
        return MemorySource(self.log), MemorySink(self.log)

    def lose_assignment(self) -> None:
        self.log.assign(None)

    def visible(self) -> list[tuple[int, bytes | None]]:
        return [(v.partition or 0, v.value) for v in self.log.visible]
