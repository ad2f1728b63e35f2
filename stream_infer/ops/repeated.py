"""A log handler that writes the first line of a kind, and counts those of its kind that follow.

While brokers are away, or a topic is flooded, the same few lines would come many times a second. The counts
are written as one line every 30 s. A kind whose lines have ceased for that long is written at once again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TextIO

from stream_infer.flow.codes import LogEvent

INTERVAL_S = 30.0

# Findings of a start, of which each says something else, and summaries.
_ALWAYS_WRITTEN = frozenset(
    {
        LogEvent.PACKAGE_DIFFERENCE,
        LogEvent.MONITORING_PROBLEM,
        LogEvent.DEAD_LETTERS,
        LogEvent.RECORDS_REFUSED,
    }
)
_CLIENT_LOGGERS = frozenset({"librdkafka", "stream_infer.kafka.producer"})
_CLIENT = "librdkafka"


def kind_of(record: logging.LogRecord) -> str | None:
    """Return the kind of a line: librdkafka's are one, others go by their text. None: always written."""
    phrase = record.msg
    if record.name in _CLIENT_LOGGERS and not isinstance(phrase, LogEvent):
        return _CLIENT
    if record.levelno >= logging.ERROR or not isinstance(phrase, str) or phrase in _ALWAYS_WRITTEN:
        return None
    return str(phrase) if isinstance(phrase, LogEvent) else record.getMessage()


def call_later(after_s: float, call: Callable[[], None]) -> None:
    """Call `call` after a time, on a thread that keeps no process alive."""
    timer = threading.Timer(after_s, call)
    timer.name, timer.daemon = "log-summary", True
    timer.start()


class RepetitionHandler(logging.StreamHandler[TextIO]):
    """Writes to `stream`. What is counted when it is closed is written too. Any thread may log."""

    def __init__(
        self,
        stream: TextIO,
        *,
        clock: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], None] = call_later,
    ) -> None:
        super().__init__(stream)
        self._clock = clock
        self._later = later
        self._counted_until: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._newest: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write or count a line. The caller, `handle`, holds the lock."""
        kind, now = kind_of(record), self._clock()
        if kind is None:
            super().emit(record)
        elif kind not in (recent := {k: end for k, end in self._counted_until.items() if end > now}):
            self._counted_until = {**recent, kind: now + INTERVAL_S}
            super().emit(record)
        else:
            self._count(kind, str(getattr(record, "reason", None) or record.getMessage()))

    def close(self) -> None:
        """Write what was counted since the last summary."""
        self._summarise()
        super().close()

    def _count(self, kind: str, text: str) -> None:
        if not self._counts:
            self._later(INTERVAL_S, self._summarise)
        self._counts[kind] += 1
        self._newest[kind] = text
        self._counted_until[kind] = self._clock() + INTERVAL_S

    def _summarise(self) -> None:
        self.acquire()
        try:
            counts, newest = dict(self._counts), dict(self._newest)
            self._counts.clear()
            self._newest.clear()
            if counts:
                line = logging.LogRecord(
                    __name__, logging.WARNING, "", 0, LogEvent.LINES_REPEATED, None, None
                )
                line.__dict__.update(counts=counts, newest=newest)
                super().emit(line)
        finally:
            self.release()
