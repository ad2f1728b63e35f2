"""The newest rows of each column of one model, merged from observation frames of all partitions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from stream_infer.drift.frames import ObservationFrame, merge_frames

ROWS_NOW = 2_000
"""The distribution now is of the newest closed windows with so many sampled rows, and of the open one."""
_ROWS, _LEAST_ROWS, _AGE_MS = 500, 60, 10_000


@dataclass(frozen=True, slots=True)
class ColumnWindow:
    """Merged frames of one model, of all partitions, which were written from `opened_ms` to `closed_ms`."""

    frame: ObservationFrame
    opened_ms: int
    closed_ms: int


class ColumnWindows:
    """Frames of one model in windows of some hundred sampled rows, or of ten seconds."""

    def __init__(self) -> None:
        self._closed: deque[ColumnWindow] = deque()
        self._open: ColumnWindow | None = None

    def take(self, frame: ObservationFrame, written_ms: int) -> ColumnWindow | None:
        """Take a frame; return the window that it closes, if it does."""
        window = self._open
        if window is None:
            window = ColumnWindow(frame, written_ms, written_ms)
        else:
            merged = merge_frames(window.frame, replace(frame, source=window.frame.source))
            window = replace(window, frame=merged, closed_ms=max(window.closed_ms, written_ms))
        self._open = window
        aged = window.closed_ms - window.opened_ms >= _AGE_MS and window.frame.sampled >= _LEAST_ROWS
        if window.frame.sampled < _ROWS and not aged:
            return None
        self._open = None
        self._closed.append(window)
        kept = sum(one.frame.sampled for one in self._closed)
        while kept - self._closed[0].frame.sampled >= ROWS_NOW:
            kept -= self._closed.popleft().frame.sampled
        return window

    def now(self) -> ColumnWindow | None:
        """Return the newest rows as one window; None before the first frame."""
        windows = [*self._closed, *([] if self._open is None else [self._open])]
        if not windows:
            return None
        whole = windows[0].frame
        for window in windows[1:]:
            whole = merge_frames(whole, window.frame)
        return ColumnWindow(whole, windows[0].opened_ms, windows[-1].closed_ms)
