"""The alarm of a monitor that sees fewer events or labels in an hour than a limit of the user.

How many came in an hour is judged by the monitor's clock, as silence is: `backtest` never raises this alarm,
and its events are marked (`attributes.clock`). It needs a whole hour since the monitor began to watch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from stream_infer.app.silence import Feed
from stream_infer.flow.codes import EventType
from stream_infer.flow.events import AssignmentChanged, Event, ReadFinished

_HOUR_S = 3_600.0
_LOOK_S = 60.0


class HourlyWatch:
    """An `Observer` of the monitor's loop; `least` is the limit."""

    def __init__(
        self,
        pipeline: str,
        feed: Feed,
        least: float,
        post: Callable[[Mapping[str, object]], None],
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        open_ms: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._pipeline = pipeline
        self._feed = feed
        self._least = least
        self._post = post
        self._clock = clock
        self._now_ms = now_ms
        self._open_ms = open_ms
        self._counts: deque[tuple[float, int]] = deque()
        self._told_ms: int | None = None
        self._ended_ms: int | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case AssignmentChanged():
                self._counts.clear()
                if event.owned:
                    self._counts.append((self._clock(), self._feed.count()))
            case ReadFinished() if self._counts and self._clock() - self._counts[-1][0] >= _LOOK_S:
                self._look()

    def _look(self) -> None:
        """Compare the last hour with the limit, once a minute."""
        now = self._clock()
        self._counts.append((now, self._feed.count()))
        if now - self._counts[0][0] < _HOUR_S:
            return
        while len(self._counts) > 1 and now - self._counts[1][0] >= _HOUR_S:
            self._counts.popleft()
        came = self._counts[-1][1] - self._counts[0][1]
        told_before = self._open_ms()
        if self._told_ms is None and told_before != self._ended_ms:
            self._told_ms = told_before
        if self._told_ms is None and came < self._least:
            self._told_ms = self._now_ms()
            self._tell(self._told_ms, "open", came, "under")
        elif self._told_ms is not None and came >= self._least:
            self._tell(self._told_ms, "resolved", came, "within")
            self._told_ms, self._ended_ms = None, self._told_ms

    def _tell(self, since_ms: int, state: str, came: int, where: str) -> None:
        name, fix = self._feed.name, f". {self._feed.fix}" if state == "open" else ""
        self._post(
            {
                "id": f"{self._pipeline}/{EventType.LIVENESS}/{name}_per_hour/{since_ms}/{state}",
                "type": EventType.LIVENESS,
                "severity": "warning" if state == "open" else "info",
                "time": self._now_ms(),
                "pipeline": self._pipeline,
                "incident_id": f"{EventType.LIVENESS}.{name}_per_hour.{since_ms}",
                "summary": f"{came:,} {name} came in the last hour, {where} the limit of {self._least:,g} "
                f"([monitoring.limits] min_{name}_per_hour){fix}",
                "attributes": {"state": state, "clock": "monitor", "subject": f"{name} per hour"},
            }
        )
