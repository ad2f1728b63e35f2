"""How far a topic has been read, in record time: what decides that nothing older is still to come.

A clock of several partitions shows the slowest. A partition that has been read to its end counts as read up
to when that was, so one without records holds nobody back. It begins again with the process: then it is slow
until every partition has shown something, which delays decisions and changes none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

DISORDER_MS = 60_000
"""Records of a partition may be out of order by this much, and a transaction this long open."""


class TopicClock:
    """The record time of one topic."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def saw(self, index: int, time_ms: int) -> None:
        """Take note of a record of partition `index`."""
        self._seen[index] = max(self._seen.get(index, 0), time_ms)

    def now_ms(self, owned: Iterable[int], ended: Collection[int], read_ms: int) -> int:
        """Return the time before which no record of the partitions `owned` is still to come.

        Those in `ended` were at their end when this was read, at `read_ms`.
        """
        for index in ended:
            self.saw(index, read_ms)
        return min((self._seen.get(index, 0) for index in owned), default=0) - DISORDER_MS
