from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable

import pytest

from stream_infer.flow.codes import LogEvent
from stream_infer.ops.repeated import INTERVAL_S, RepetitionHandler, call_later


class Written:
    """A handler whose clock and timer the test turns; `lines` are what it wrote."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self._stream = io.StringIO()
        self.handler = RepetitionHandler(self._stream, clock=lambda: self.now, later=self._later)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    def log(self, text: str, name: str = "stream_infer", level: int = logging.WARNING, **fields: str) -> None:
        record = logging.LogRecord(name, level, "", 0, text, None, None)
        record.__dict__.update(fields)
        self.handler.handle(record)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        passed = [call for at, call in self.due if at <= self.now]
        self.due = [(at, call) for at, call in self.due if at > self.now]
        for call in passed:
            call()

    def _later(self, after_s: float, call: Callable[[], None]) -> None:
        self.due.append((self.now + after_s, call))


@pytest.fixture
def written() -> Written:
    found = Written()
    found.handler.setFormatter(Summary())
    return found


class Summary(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return (
            f"{record.getMessage()} {getattr(record, 'counts', '')} {getattr(record, 'newest', '')}".strip()
        )


def test_a_thousand_lines_of_the_client_become_a_line_and_a_summary_each_half_minute(
    written: Written,
) -> None:
    for number in range(1_200):
        written.log(f"FAIL: refused {number}", "librdkafka")
        written.wait(0.05)

    assert written.lines[0] == "FAIL: refused 0"
    assert all(line.startswith("lines repeated {'librdkafka': 6") for line in written.lines[1:])
    assert len(written.lines) == 2


def test_a_summary_has_the_newest_line_of_each_kind(written: Written) -> None:
    for reason in ("one", "two", "three"):
        written.log(LogEvent.BATCH_ABORTED, reason=reason)
        written.log(f"FAIL: {reason}", "stream_infer.kafka.producer")
    written.wait(INTERVAL_S)

    counts = {"batch aborted": 2, "librdkafka": 2}
    newest = {"batch aborted": "three", "librdkafka": "FAIL: three"}
    assert written.lines == ["batch aborted", "FAIL: one", f"lines repeated {counts} {newest}"]


def test_a_kind_that_has_ceased_is_written_at_once_again(written: Written) -> None:
    written.log(LogEvent.BATCH_ABORTED)
    written.wait(INTERVAL_S + 1)
    written.log(LogEvent.BATCH_ABORTED)

    assert written.lines == ["batch aborted", "batch aborted"]


def test_a_kind_that_goes_on_stays_counted(written: Written) -> None:
    for _ in range(20):
        written.log(LogEvent.BATCH_ABORTED)
        written.wait(10.0)

    assert written.lines.count("batch aborted") == 1
    assert sum(line.startswith("lines repeated") for line in written.lines) == 6


def test_errors_and_findings_of_a_start_are_always_written(written: Written) -> None:
    for _ in range(3):
        written.log("it is over", level=logging.ERROR)
        written.log(LogEvent.PACKAGE_DIFFERENCE, difference="numpy")

    assert len(written.lines) == 6
    assert written.due == []


def test_what_was_counted_is_written_at_the_end(written: Written) -> None:
    written.log(LogEvent.CONSUMER_ERROR)
    written.log(LogEvent.CONSUMER_ERROR)

    written.handler.close()
    written.handler.close()

    assert len(written.lines) == 2
    assert written.lines[1].startswith("lines repeated {'consumer error': 1}")


def test_the_timer_calls() -> None:
    called = threading.Event()

    call_later(0.0, called.set)

    assert called.wait(30.0)
