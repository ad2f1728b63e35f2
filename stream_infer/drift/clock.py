"""The event-time watermark of a topic: the record time before which nothing is still to come.

A topic is as far as its slowest partition. A partition that has been read to its end counts as read up to
that moment, so one without records holds no other back. The clock begins again with the process: it is slow
until every partition has shown a record, which delays decisions and changes none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

DISORDER_MS = 60_000
"""Records of a partition may be out of order by this much, and a transaction this long open."""


class TopicClock:
    """The watermark of one topic."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}

    def observe(self, index: int, time_ms: int) -> None:
        """Take note of a record of partition `index`."""
        self._newest[index] = max(self._newest.get(index, 0), time_ms)

    def watermark_ms(self, owned: Iterable[int], ended: Collection[int], read_ms: int) -> int:
        """Return the time before which no record of the partitions `owned` is still to come.

        Partitions in `ended` were at their end when the last batch was read, at `read_ms`.
        """
        for index in ended:
            self.observe(index, read_ms)
        return min((self._newest.get(index, 0) for index in owned), default=0) - DISORDER_MS
