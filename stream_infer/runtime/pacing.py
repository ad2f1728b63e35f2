"""How much to read and when: batch limit, pause between commits, backoff after aborts. Pure; `now` comes in.

A transaction costs about the same for one record as for a thousand, so at low rates batches are kept at least
`commit_interval_s` apart; a full batch means a backlog and is followed at once.
"""

from __future__ import annotations

from dataclasses import dataclass

_BACKOFF_FIRST_S = 0.05
_BACKOFF_MOST_S = 5.0


@dataclass(frozen=True, slots=True)
class Pacing:
    """The policy: at most `max_records` a batch, commits at least `commit_interval_s` apart unless behind."""

    max_records: int = 10_000
    commit_interval_s: float = 0.02
    wait_s: float = 0.1


class Pace:
    """The state under one policy: when the last batch was read, and how often in a row it was aborted."""

    def __init__(self, policy: Pacing) -> None:
        self.policy = policy
        self._next_read_at = 0.0
        self._aborts_in_a_row = 0

    def pause_s(self, now: float) -> float:
        """Return how many seconds to wait before the next read."""
        return max(0.0, self._next_read_at - now)

    def was_read(self, records: int, now: float) -> None:
        """Take note that a batch of `records` was read at `now`."""
        behind = records >= self.policy.max_records
        self._next_read_at = now if behind else now + self.policy.commit_interval_s

    def was_committed(self) -> None:
        """Take note that the batch became durable."""
        self._aborts_in_a_row = 0

    def was_aborted(self, now: float) -> None:
        """Take note that the batch was aborted: replays back off, each twice as long."""
        backoff_s = min(_BACKOFF_FIRST_S * 2.0**self._aborts_in_a_row, _BACKOFF_MOST_S)
        self._aborts_in_a_row = min(self._aborts_in_a_row + 1, 16)
        self._next_read_at = now + backoff_s
