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

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from stream_infer.flow.errors import Aborted, Fatal
from stream_infer.flow.records import Partition, Span

_NONE: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to commit what was read: the assignment epoch, and the group metadata of that assignment."""

    epoch: int
    group_metadata: object


class Assignment:
    """What a member owns between two rebalance callbacks.

    `positions` has the next offset of every owned partition, `committed` the offset from which its group goes
    on, `leader_epochs` the epoch of the record before that one, where it is known, and `topic_ids` the id of
    the topic that all of them belong to. `left` are lost offsets that the group has until the first commit.
    `touched` are the partitions that a callback assigned or revoked since `begin_read`. `ended` are the owned
    partitions that have no further record now, each with the end of its log. `halted` are paused partitions
    that `resume` leaves so, with the reason. The reader changes `ended`, `halt_partitions` the halted ones;
    everything else is changed by methods only.
    """

    def __init__(self, epoch: int = 0) -> None:
        self.positions: dict[Partition, int] = {}
        self.committed: dict[Partition, int] = {}
        self.leader_epochs: dict[Partition, int | None] = {}
        self.topic_ids: dict[Partition, str] = {}
        self.left: dict[Partition, int] = {}
        self.lease = Lease(epoch, None)
        self.touched: set[Partition] = set()
        self.paused: set[Partition] = set()
        self.ended: dict[Partition, int] = {}
        self.halted: dict[Partition, str] = {}
        self._kept: Sequence[dict[Partition, Any]] = (
            self.positions,
            self.committed,
            self.leader_epochs,
            self.topic_ids,
            self.left,
            self.ended,
            self.halted,
        )

    def begin_read(self) -> None:
        """Forget which partitions were touched: what is collected now is later than the callbacks."""
        self.touched.clear()

    def assign(
        self,
        offsets: Mapping[Partition, int],
        group_metadata: object,
        topic_ids: Mapping[Partition, str] = _NONE,
        left: Mapping[Partition, int] = _NONE,
        leader_epochs: Mapping[Partition, int | None] = _NONE,
    ) -> None:
        """Own more partitions, each to be read from its offset; a new epoch begins."""
        self.positions.update(offsets)
        self.committed.update(offsets)
        self.topic_ids.update(topic_ids)
        self.left.update(left)
        self.leader_epochs.update(leader_epochs)
        self._touch(offsets, group_metadata)

    def revoke(self, partitions: Collection[Partition]) -> None:
        """Own these partitions no longer; a new epoch begins.

        The metadata stays: the generation goes on until the next assignment.
        """
        for partition in partitions:
            for kept in self._kept:
                kept.pop(partition, None)
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

    def commit(
        self, offsets: Mapping[Partition, int], leader_epochs: Mapping[Partition, int | None] = _NONE
    ) -> None:
        """Note that the group goes on from these offsets, where this member reads on too."""
        self.committed.update(offsets)
        self.leader_epochs.update(leader_epochs)
        for partition in offsets:
            self.left.pop(partition, None)
        self.positions.update({p: offset for p, offset in offsets.items() if p in self.ended})

    def reposition(self, partition: Partition, offset: int) -> None:
        """Read `partition` from `offset` next."""
        self.positions[partition] = offset
        self.ended.pop(partition, None)

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Leave these partitions unread."""
        self.paused.update(partitions)

    def resume(self, partitions: Collection[Partition]) -> set[Partition]:
        """Read these partitions again; return those that were paused."""
        resumed = self.paused.intersection(partitions) - self.halted.keys()
        self.paused -= resumed
        return resumed

    def _touch(self, partitions: Iterable[Partition], group_metadata: object) -> None:
        self.touched.update(partitions)
        self.lease = Lease(self.lease.epoch + 1, group_metadata)


def epoch_before(assignment: Assignment, partition: Partition, offset: int) -> int | None:
    """Return the leader epoch of the record before `offset`; None where it is not known."""
    if assignment.committed.get(partition) != offset:
        return None
    return assignment.leader_epochs.get(partition)


def passed_ends(assignment: Assignment, committed: Mapping[Partition, int]) -> dict[Partition, int]:
    """Return the ends of the logs whose records were all read and are all `committed`.

    No record comes between those positions and the ends: only markers and aborted records.
    """
    return {
        partition: end
        for partition, end in assignment.ended.items()
        if partition in committed and committed[partition] == assignment.positions.get(partition, end) < end
    }
