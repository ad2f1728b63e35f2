"""Columns whose incident is just over: an alarm about one waits, and counts if the change is still there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from stream_infer.drift.alarms import Alarm, WindowResult
from stream_infer.drift.aspects import Aspect, Signal
from stream_infer.drift.incident import Group, Incident, group_of
from stream_infer.drift.windows import StreamKey

_STILL_THERE = 4.0


@dataclass(slots=True)
class Cooling:
    """A column that cools down until `until_window`, the level it ended at, and an alarm that waits."""

    stream: StreamKey
    group: Group
    signal: Signal
    level: float
    until_window: int
    waiting: Alarm | None = None


class Cooldown:
    """The columns that cool down, each for `windows` windows of its stream."""

    def __init__(self, windows: int, columns: Sequence[Cooling] = ()) -> None:
        self._windows = windows
        self._columns = list(columns)

    @property
    def columns(self) -> Sequence[Cooling]:
        """The columns that cool down now: the whole state."""
        return self._columns

    def start(self, incident: Incident, stream: StreamKey, result: WindowResult, value: float) -> None:
        """Let the columns of an incident cool down that ended in `stream`, its signal at `value`."""
        until = result.number + self._windows
        track = incident.tracks[stream]
        for group in incident.members:
            own = group == group_of(track.signal)
            signal = track.signal if own else Signal(group[1], group[2], Aspect.MEAN)
            level = value if own else result.values.get(signal, 0.0)
            self._columns.append(Cooling(stream, group, signal, level, until))

    def defer(self, alarm: Alarm, stream: StreamKey, window: int) -> bool:
        """Return whether `alarm` has to wait, since its column cools down."""
        group = group_of(alarm.signal)
        for column in self._columns:
            if column.stream == stream and column.group == group and window < column.until_window:
                column.waiting = alarm
                return True
        return False

    def finish(self, stream: StreamKey, result: WindowResult) -> Sequence[Alarm]:
        """End the cooldowns that are over; return the alarms that waited and whose change is still there."""
        over = [c for c in self._columns if c.stream == stream and result.number >= c.until_window]
        self._columns = [column for column in self._columns if column not in over]
        return [
            replace(column.waiting, value=result.values.get(column.waiting.signal, column.waiting.value))
            for column in over
            if column.waiting is not None and _is_still_there(column, column.waiting, result.values)
        ]


def _is_still_there(column: Cooling, alarm: Alarm, values: Mapping[Signal, float]) -> bool:
    """Whether a column is still away from the level it ended at, on the side that `alarm` saw."""
    value = values.get(column.signal, column.level)
    if alarm.signal != column.signal:
        return abs(value - column.level) >= _STILL_THERE
    side = math.copysign(1.0, alarm.value - column.level)
    return side * (value - column.level) >= _STILL_THERE
