"""One member of a consumer group and its producer: the Source and the Sink of the online roles.

`membership` has the consumer and its parts: `assignment` keeps what the member owns, `rebalance` serves the
group's callbacks, `reading` makes batches, `committing` makes outcomes durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

from stream_infer.flow.errors import Fatal, SlotTaken
from stream_infer.flow.events import AssignmentChanged, SlotRejoined
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Batch, Cursor, Outcome, Partition
from stream_infer.kafka.membership import Joining, Membership, SessionSettings
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.publish import Publisher
from stream_infer.kafka.reading import MemberFenced
from stream_infer.kafka.topic_ids import TopicIds
from stream_infer.kafka.toppars import resume_partitions, toppars

# Of the ten seconds that a worker has to leave in, a request before it takes the most.
_ENDS_WITHIN_S = 2.0


class Session:
    """Reads batches and commits outcomes as one member of a group. One loop owns it.

    `stopping` ends the waiting for a broker that is silent.
    """

    def __init__(
        self,
        settings: SessionSettings,
        publisher: Publisher,
        start: StartOffsets,
        topic_ids: TopicIds,
        *,
        stopping: Callable[[], bool],
        observe: Observer,
        logger: logging.Logger,
    ) -> None:
        self._settings = settings
        self._stopping = stopping
        self.publisher = publisher
        self._observe = observe
        self._joining = Joining(settings, publisher, start, topic_ids, stopping, observe, logger)
        self._opened: Membership | None = None

    def open(self) -> None:
        """Fence the predecessor of this slot, then join the group.

        In this order: `init_transactions` aborts what the predecessor left open, which would block the fetch
        of committed offsets until its transaction timed out.
        """
        self.publisher.open()
        self._opened = self._joining.join(epoch=0)

    def close(self) -> None:
        """Leave the group and let the clients go. Idempotent; nothing is open, so nothing can be lost."""
        if self._opened is not None:
            self._opened.leave(_ENDS_WITHIN_S)
            self._opened = None
        self.publisher.close()

    def read(self, limit: int, wait_s: float) -> Batch | None:
        """See `Source.read`. A member that was fenced or stranded is replaced by one with a new consumer.

        Of two workers under one slot the first one that was fenced leaves: its new member fences the other,
        whose new member fences it again. Raises `SlotTaken` then.
        """
        member, timeout_s = self._member, self._settings.session_timeout_s
        if member.is_stranded(timeout_s):
            self._replace_member("the group has assigned nothing since all partitions were lost")
            return None
        try:
            batch = member.reader.read(limit, self._settings.max_batch_bytes, wait_s)
        except MemberFenced as fenced:
            if member.has_rival(timeout_s):
                raise SlotTaken(
                    "another worker has joined under this slot; give each worker its own [worker] slot"
                ) from fenced
            self._replace_member(str(fenced))
            return None
        if batch is None:
            member.committer.commit_passed()
        return batch

    def rewind(self, cursor: Cursor) -> None:
        """Go back to the first offset of each span still owned, and take the group's generation anew.

        Retaking the metadata here is safe: whatever ended the old generation is queued for a callback ahead
        of any record fetched after the seek.
        """
        member = self._member
        member.guard.look()
        owned = member.assignment.positions
        member.reader.reposition({p: s.first for p, s in cursor.spans.items() if p in owned})
        member.assignment.renew(member.consumer.consumer_group_metadata())

    @property
    def finished(self) -> bool:
        return False

    @property
    def paused(self) -> Collection[Partition]:
        return self._member.assignment.paused

    def pause(self, offsets: Mapping[Partition, int]) -> None:
        member = self._member
        owned = {p: offset for p, offset in offsets.items() if p in member.assignment.positions}
        member.assignment.pause(owned)
        member.consumer.pause(toppars(owned))
        member.reader.reposition(owned)

    def resume(self, partitions: Collection[Partition]) -> None:
        resume_partitions(self._member.consumer, self._member.assignment, partitions)

    def commit(self, outcome: Outcome) -> None:
        self._member.committer.commit(outcome)

    def _replace_member(self, reason: str) -> None:
        """Join the group under the same slot, with a new consumer, unless the loop is about to end."""
        if self._stopping():
            return
        old = self._member
        old.leave()
        self._observe(AssignmentChanged("lost", ()))
        # Beyond the epoch of any batch that was read before.
        self._opened = self._joining.join(epoch=old.assignment.lease.epoch + 1)
        self._observe(SlotRejoined(reason))

    @property
    def _member(self) -> Membership:
        if self._opened is None:
            raise Fatal("the session is not open")
        return self._opened
