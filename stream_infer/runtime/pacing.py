"""How much to read and when: batch limit, pause between commits, backoff after aborts. Pure; `now` comes in.

A batch costs some milliseconds whatever is in it (a transaction is a few round trips) and some microseconds a
record. Both are measured as the stream goes (`Cost`), and steer towards the latency goal:

- idle: a read waits longer, for each wait costs processor time. A record ends it at once; a change of the
  assignment is seen after it.
- quiet: what has come is read after a pause. The pause grows with the cost of a commit, so that a slow broker
  is not kept busy with empty transactions, and ends at a quarter of the goal.
- a burst: a batch takes no longer than half the goal, so that what comes meanwhile is not late either. Where
  the fixed cost alone is near that or above, as far from a broker, records may take as long as it does.
- behind (a batch was full): what waits is late already. Batches grow until the fixed cost is a small share of
  them: no throughput is to be had beyond that.

However cheap records seem: never more than `max_records`, than `max_bytes` of values, than is done in
`batch_within_s`, and never many times more than was done before. The first batch is small: nothing is
measured yet. A batch that took longer than `batch_within_s` and was aborted may have outlasted a limit of the
group or of the transaction, and would outlast it again: the next one has half its records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_infer.common.backoff import Backoff

_BACKOFF = Backoff(first_s=0.05, most_s=5.0)
_FIXED_SHARE = 0.05
_GROWTH = 4
_FIRST_LIMIT = 32
_IDLE_AFTER_S = 5.0
_WEIGHED = 1_000


@dataclass(frozen=True, slots=True)
class Pacing:
    """The policy. `batch_within_s` is the longest that a batch should take, well within all limits.

    `wait_s` and `idle_wait_s` are the longest waits of a read, the latter after 5 s without a record.
    """

    max_records: int = 50_000
    commit_interval_s: float = 0.02
    wait_s: float = 0.1
    idle_wait_s: float = 0.5
    latency_goal_s: float = 0.1
    max_bytes: int = 64 * 2**20
    batch_within_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Cost:
    """The expected time of a batch: `fixed_s + records * record_s`."""

    fixed_s: float = 0.01
    record_s: float = 5e-6

    def expected_s(self, records: int) -> float:
        """Return how long a batch of `records` is expected to take."""
        return self.fixed_s + records * self.record_s

    def records_within(self, seconds: float) -> float:
        """Return how many records a batch may have to be done in `seconds`."""
        return (seconds - self.fixed_s) / self.record_s


@dataclass(frozen=True, slots=True)
class Decision:
    """At most `limit` records in the next batch, no earlier than `interval_s` after the last one, and why."""

    limit: int
    interval_s: float
    behind: bool
    cost: Cost


def decide(policy: Pacing, cost: Cost, *, behind: bool, record_bytes: float, ventured: int) -> Decision:
    """Return the decision for the next batch, which has at most `ventured` records."""
    goal_s = policy.latency_goal_s
    records_s = cost.fixed_s * (1 / _FIXED_SHARE - 1) if behind else cost.fixed_s
    limit = max(cost.records_within(goal_s / 2), records_s / cost.record_s)
    limit = min(
        limit,
        policy.max_records,
        policy.max_bytes / max(1.0, record_bytes),
        cost.records_within(policy.batch_within_s),
        ventured,
    )
    interval_s = max(policy.commit_interval_s, min(2 * cost.fixed_s, goal_s / 4))
    return Decision(max(1, int(limit)), interval_s, behind, cost)


class Pace:
    """The state of pacing under one policy: measured costs, record sizes, aborts in a row."""

    def __init__(self, policy: Pacing) -> None:
        self.policy = policy
        self._next_read_at = 0.0
        self._aborts_in_a_row = 0
        self._meter = CostMeter()
        self._record_bytes = 1.0
        self._ventured = _FIRST_LIMIT
        self._read: tuple[int, float] = (0, 0.0)
        self._idle_since: float | None = None
        self.decision = self._decided(behind=False)

    def pause_s(self, now: float) -> float:
        """Return how many seconds to wait before the next read."""
        return max(0.0, self._next_read_at - now)

    def wait_s(self, now: float) -> float:
        """Return how many seconds the next read may wait for a record."""
        if self._idle_since is None:
            self._idle_since = now
        idle = now - self._idle_since >= _IDLE_AFTER_S
        return self.policy.idle_wait_s if idle else self.policy.wait_s

    def was_read(self, values: Sequence[bytes | None], now: float) -> None:
        """Take note that a batch of `values` was read at `now`."""
        self._read = len(values), now
        self._idle_since = None
        self._record_bytes = max(_mean_bytes(values), 0.9 * self._record_bytes)
        behind = len(values) >= self.decision.limit
        self.decision = self._decided(behind=behind)
        self._next_read_at = now if behind else now + self.decision.interval_s

    def was_committed(self, now: float) -> None:
        """Take note that the batch became durable at `now`."""
        self._aborts_in_a_row = 0
        records, began = self._read
        self._ventured = max(self._ventured, _GROWTH * records)
        self._meter.add(records, now - began)
        self.decision = self._decided(behind=self.decision.behind)

    def was_aborted(self, now: float) -> None:
        """Take note that the batch was aborted: the next replay backs off, and is half a long batch."""
        self._aborts_in_a_row += 1
        records, began = self._read
        if now - began > self.policy.batch_within_s:
            self._ventured = max(1, records // 2)
            self.decision = self._decided(behind=self.decision.behind)
        self._next_read_at = now + _BACKOFF.pause_s(self._aborts_in_a_row)

    def _decided(self, *, behind: bool) -> Decision:
        return decide(
            self.policy,
            self._meter.cost,
            behind=behind,
            record_bytes=self._record_bytes,
            ventured=self._ventured,
        )


class CostMeter:
    """Fits `Cost` to the batches so far, newer ones counting more: sums that decay, and a line through them.

    Batches of one size cannot tell the two costs apart; the cost of a record is then left as it was.
    """

    _KEEP = 0.9
    _SPREAD = 0.1

    def __init__(self) -> None:
        self.cost = Cost()
        self._weight = self._n = self._t = self._nn = self._nt = 0.0

    def add(self, records: int, seconds: float) -> None:
        """Take a batch of `records` into account that took `seconds`."""
        seconds = max(seconds, 1e-6)
        self._weight = self._KEEP * self._weight + 1
        self._n = self._KEEP * self._n + records
        self._t = self._KEEP * self._t + seconds
        self._nn = self._KEEP * self._nn + records * records
        self._nt = self._KEEP * self._nt + records * seconds
        mean_n, mean_t = self._n / self._weight, self._t / self._weight
        variance = self._nn / self._weight - mean_n**2
        record_s = self.cost.record_s
        if variance > self._SPREAD * mean_n**2:
            record_s = (self._nt / self._weight - mean_n * mean_t) / variance
        record_s = min(max(record_s, 1e-7), mean_t / mean_n)
        self.cost = Cost(mean_t - record_s * mean_n, record_s)


def _mean_bytes(values: Sequence[bytes | None]) -> float:
    """Return the mean size of `values`, from a thousand of them where there are more."""
    weighed = values[:: max(1, len(values) // _WEIGHED)]
    return sum(map(len, filter(None, weighed))) / max(1, len(weighed))
