"""The port of a source that can pause partitions. Its contract is in `tests/contracts`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from stream_infer.flow.ports import Source
from stream_infer.flow.records import Partition


class PausableSource(Source, Protocol):
    """A source that can pause partitions."""

    @property
    def paused(self) -> Collection[Partition]:
        """The owned partitions that are paused."""

    def pause(self, offsets: Mapping[Partition, int]) -> None:
        """Pause these partitions; `resume` continues at `offsets`. Partitions of other members are ignored.

        Rewinding a paused partition moves the offset to continue at. A partition that is revoked and assigned
        again is not paused.
        """

    def resume(self, partitions: Collection[Partition]) -> None:
        """Resume these partitions."""
