"""What one member of a group owns, how far it has read, and its right to commit. Pure: it has no client.

Why rows of a partition that moved to another member cannot be committed:

1. Another member gets a partition only in a generation that begins after this member's revoke callback ran,
   or after this member was removed from the group. So rows read after the last callback are owned, unless the
   member was removed.
2. Rows collected in the very call that served a callback are dropped where the callback touched their
   partition (`touched`), and read again if still owned.
3. A member that was removed commits with the metadata of its last assignment (the lease). The group
   coordinator refuses a stale generation or member id, and the transaction aborts. The metadata is never
   taken at commit: a removed member would get an empty one, which the coordinator does not check.
4. Metadata fences members, not partitions: a batch of an older epoch may hold rows of a partition that left.
   `check` refuses it before anything is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from stream_infer.flow.errors import Aborted, Fatal
from stream_infer.flow.records import Partition, Span


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to commit what was read: the assignment epoch, and the group metadata of that assignment."""

    epoch: int
    group_metadata: object


class Assignment:
    """What a member owns between two rebalance callbacks.

    `positions` has the next offset of every owned partition. `touched` are the partitions that a callback
    assigned or revoked since `begin_read`. `ended` are the owned partitions that have no further record now;
    the reader adds and removes them, everything else is changed by methods only.
    """

    def __init__(self) -> None:
        self.positions: dict[Partition, int] = {}
        self.lease = Lease(0, None)
        self.touched: set[Partition] = set()
        self.paused: set[Partition] = set()
        self.ended: set[Partition] = set()

    def begin_read(self) -> None:
        """Forget which partitions were touched: what is collected now is later than the callbacks."""
        self.touched.clear()

    def assign(self, offsets: Mapping[Partition, int], group_metadata: object) -> None:
        """Own more partitions, each to be read from its offset; a new epoch begins."""
        self.positions.update(offsets)
        self._touch(offsets, group_metadata)

    def revoke(self, partitions: Collection[Partition]) -> None:
        """Own these partitions no longer; a new epoch begins.

        The metadata stays: the generation goes on until the next assignment.
        """
        for partition in partitions:
            self.positions.pop(partition, None)
        self.ended.difference_update(partitions)
        self.paused.difference_update(partitions)
        self._touch(partitions, self.lease.group_metadata)

    def renew(self, group_metadata: object) -> None:
        """Commit with this metadata from now on, in the same epoch."""
        self.lease = replace(self.lease, group_metadata=group_metadata)

    def check(self, lease: object) -> Lease:
        """Return `lease` if it is of this epoch; raise `Aborted` otherwise."""
        if not isinstance(lease, Lease) or lease.epoch != self.lease.epoch:
            raise Aborted("the batch was read under an older assignment")
        return lease

    def advance(self, spans: Mapping[Partition, Span]) -> Mapping[Partition, int]:
        """Move past the offsets that were read; return the positions before them.

        Raises `Fatal` when a span begins before the position: records would be answered twice.
        """
        before = self.positions | {partition: span.first for partition, span in spans.items()}
        for partition, span in spans.items():
            position = self.positions[partition]
            if span.first < position:
                raise Fatal(
                    f"{partition.topic}/{partition.index} went back from offset {position} to {span.first}"
                )
            self.positions[partition] = span.next
        return before

    def reposition(self, partition: Partition, offset: int) -> None:
        """Read `partition` from `offset` next."""
        self.positions[partition] = offset
        self.ended.discard(partition)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Leave these partitions unread."""
        self.paused.update(partitions)

    def resume(self, partitions: Collection[Partition]) -> set[Partition]:
        """Read these partitions again; return those that were paused."""
        resumed = self.paused.intersection(partitions)
        self.paused -= resumed
        return resumed

    def _touch(self, partitions: Iterable[Partition], group_metadata: object) -> None:
        self.touched.update(partitions)
        self.lease = Lease(self.lease.epoch + 1, group_metadata)
