"""The alarm of a monitor that has nothing to judge: no observation for minutes, or no label.

Silence is no fact of the log. So this alarm is made outside of `drift`, from the clock of the monitor, beside
its transactions; `backtest` never raises it, and its events are marked (`attributes.clock`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stream_infer.flow.codes import EventType
from stream_infer.flow.events import AssignmentChanged, Event, ReadFinished
from stream_infer.steps.monitoring.label_join import LabelJoinStep
from stream_infer.steps.monitoring.monitor import MonitorStep

_GAPS = 100
_LONGER = 2.0
_S_PER_MIN = 60.0


@dataclass(frozen=True, slots=True)
class Feed:
    """What may fall silent. `count` is how much of it was read so far, `awaited` whether there ever was any.

    `gap_s` is the longest of the last gaps that the log shows, in seconds; 0.0 where it shows none.
    """

    name: str
    stopped: str
    goes_on: str
    fix: str
    count: Callable[[], int]
    awaited: Callable[[], bool] = lambda: True
    gap_s: Callable[[], float] = lambda: 0.0


class SilenceWatch:
    """An `Observer` of the monitor's loop.

    It alarms after `limit_s` without anything of `feed`, and not before twice the longest of the last gaps: a
    slow stream is no silent one. A monitor without partitions has nothing to wait for. `open_ms` is when the
    monitor before this one told a silence that is not over.
    """

    def __init__(
        self,
        pipeline: str,
        feed: Feed,
        post: Callable[[Mapping[str, object]], None],
        *,
        limit_s: float,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        open_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._pipeline = pipeline
        self._feed = feed
        self._post = post
        self._limit_s = limit_s
        self._clock = clock
        self._now_ms = now_ms
        self._open_ms = open_ms
        self._gaps: deque[float] = deque(maxlen=_GAPS)
        self._count = 0
        self._last: float | None = None
        self._told_ms: int | None = None
        self._ended_ms: int | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case AssignmentChanged():
                self._last = self._clock() if event.owned else None
            case ReadFinished() if self._last is not None:
                self._read(self._clock() - self._last)

    def _read(self, gap: float) -> None:
        """Look at what was read before the newest read, which no step has taken yet."""
        feed, before, self._count = self._feed, self._count, self._feed.count()
        told_before = self._open_ms()
        if self._told_ms is None and told_before != self._ended_ms:
            self._told_ms = told_before
        if self._count != before:
            self._gaps.append(gap)
            self._last = self._clock()
            if self._told_ms is not None:
                self._tell(self._told_ms, "resolved", f"{feed.goes_on}, after {_minutes(gap)}")
                self._told_ms, self._ended_ms = None, self._told_ms
            return
        longest = max([*self._gaps, feed.gap_s()])
        if self._told_ms is None and feed.awaited() and gap >= max(self._limit_s, _LONGER * longest):
            self._told_ms = self._now_ms()
            longest_text = f"the longest gap before was {_minutes(longest)}" if longest else "none was before"
            self._tell(
                self._told_ms,
                "open",
                f"{feed.stopped} for {_minutes(gap)}; {longest_text}. {feed.fix}",
            )

    def _tell(self, since_ms: int, state: str, summary: str) -> None:
        self._post(
            {
                "id": f"{self._pipeline}/{EventType.LIVENESS}/{self._feed.name}/{since_ms}/{state}",
                "type": EventType.LIVENESS,
                "severity": "warning" if state == "open" else "info",
                "time": self._now_ms(),
                "pipeline": self._pipeline,
                "incident_id": f"{EventType.LIVENESS}.{self._feed.name}.{since_ms}",
                "summary": summary,
                "attributes": {"state": state, "clock": "monitor"},
            }
        )


def observations_feed(step: MonitorStep) -> Feed:
    """Return the feed of observation frames."""
    return Feed(
        "observations",
        "no event was scored",
        "events are scored again",
        "Look at the producers of the input, and at the workers",
        lambda: step.records,
    )


def labels_feed(step: MonitorStep) -> Feed:
    """Return the feed of labels; the step has another join after a rebalance."""

    def join() -> LabelJoinStep | None:
        return step.label_join

    return Feed(
        "labels",
        "no label came",
        "labels come again",
        "Look at the producers of the labels topic",
        lambda: 0 if (one := join()) is None else one.feed.count,
        lambda: (one := join()) is not None and one.feed.has_begun,
        lambda: 0.0 if (one := join()) is None else one.feed.longest_gap_ms / 1_000,
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _S_PER_MIN else f"{seconds / _S_PER_MIN:.3g} min"
