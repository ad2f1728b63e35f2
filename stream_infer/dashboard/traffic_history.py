"""Throughput and latency over time, from observation frames."""

from __future__ import annotations

from collections.abc import Mapping

from stream_infer.dashboard.time_buckets import SPANS, Resolution, TimeBuckets
from stream_infer.drift.frames import ObservationFrame

_SECONDS = Resolution("2m", 1_000, 120)
RATE_OVER_S = 10
"""The rate now is that of the last ten whole seconds."""
_RECORDS, _DEAD_LETTERS, _LATENCY, _SLOWEST = range(4)


class TrafficHistory:
    """Records, dead letters and latencies by the time at which their frames were written.

    The latency of a record is the time from its own timestamp to that of its frame, which is written in the
    transaction of its prediction. A frame tells its first and last timestamp only: `typical` counts the
    middle of both for each of its records, `slowest` is from the first.
    """

    def __init__(self) -> None:
        self._buckets = {one: TimeBuckets(one, 3, 1) for one in (_SECONDS, *SPANS)}
        self.records = 0
        self.dead_letters = 0

    def take(self, frame: ObservationFrame, written_ms: int) -> None:
        """Take the frame that was written at `written_ms`."""
        self.records += frame.records
        self.dead_letters += frame.dead_letters
        slowest = max(0.0, written_ms - frame.first_time_ms)
        typical = max(0.0, written_ms - (frame.first_time_ms + frame.last_time_ms) / 2)
        for buckets in self._buckets.values():
            sums = frame.records, frame.dead_letters, typical * frame.records
            buckets.note(written_ms, sums, (slowest,))

    def now(self, now_ms: int) -> Mapping[str, float | None]:
        """Return rates (per second) and latencies (ms) of the last seconds; None without records."""
        end_ms = now_ms // 1000 * 1000
        found = self._buckets[_SECONDS].total(end_ms - RATE_OVER_S * 1000, end_ms - 1)
        records = float(found[_RECORDS])
        return {
            "records_per_s": records / RATE_OVER_S,
            "dead_letters_per_s": float(found[_DEAD_LETTERS]) / RATE_OVER_S,
            "latency_typical_ms": float(found[_LATENCY]) / records if records else None,
            "latency_slowest_ms": float(found[_SLOWEST]) if records else None,
        }

    def series(self, span: Resolution, now_ms: int) -> Mapping[str, list[float]]:
        """Return the buckets of a span whose time is over: start times, rates (per second), latencies.

        Times are in milliseconds.
        """
        starts, values = self._buckets[span].whole_points(now_ms)
        records, seconds = values[:, _RECORDS], span.width_ms / 1000
        typical = values[:, _LATENCY] / records.clip(min=1)
        return {
            "time_ms": starts.tolist(),
            "records_per_s": (records / seconds).round(3).tolist(),
            "dead_letters_per_s": (values[:, _DEAD_LETTERS] / seconds).round(4).tolist(),
            "latency_typical_ms": typical.round(1).tolist(),
            "latency_slowest_ms": values[:, _SLOWEST].round(1).tolist(),
        }
