"""The pace of a finite input: batches of one size, at once.

A part of the output is a batch, so that its borders must not depend on how fast the machine is: nothing is
measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream_infer.common.backoff import Backoff
from stream_infer.runtime.pacing import Cost, Decision, Pacing

_BACKOFF = Backoff(first_s=0.05, most_s=5.0)


class SteadyPace:
    """The `Pacer` of batches of at most `records`, without a pause but after an abort."""

    def __init__(self, records: int) -> None:
        self.policy = Pacing(max_records=records, commit_interval_s=0.0, wait_s=0.0)
        self.decision = Decision(records, 0.0, behind=True, cost=Cost())
        self._next_read_at = 0.0
        self._aborts_in_a_row = 0

    def pause_s(self, now: float) -> float:
        return max(0.0, self._next_read_at - now)

    def wait_s(self, now: float) -> float:  # noqa: ARG002 - the port has the time
        return self.policy.wait_s

    def was_read(self, values: Sequence[bytes | None], now: float) -> None:
        """Take no note: the next batch has the same size."""

    def was_committed(self, now: float) -> None:  # noqa: ARG002 - the port has the time
        self._aborts_in_a_row = 0

    def was_aborted(self, now: float) -> None:
        self._aborts_in_a_row += 1
        self._next_read_at = now + _BACKOFF.pause_s(self._aborts_in_a_row)
