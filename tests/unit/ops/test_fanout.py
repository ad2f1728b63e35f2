from __future__ import annotations

import logging

import pytest

from stream_infer.flow.events import Event, ReadFinished
from stream_infer.ops.fanout import Fanout


class Noted:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)


class Broken:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, event: Event) -> None:
        self.calls += 1
        raise RuntimeError("disk full")


def test_every_observer_gets_every_event_in_order() -> None:
    noted = Noted()
    observe = Fanout([noted, noted])

    observe(ReadFinished(1, 0.1))
    observe(ReadFinished(2, 0.1))

    assert [e.records for e in noted.events if isinstance(e, ReadFinished)] == [1, 1, 2, 2]


def test_a_broken_observer_harms_no_one_and_is_dropped_with_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    noted = Noted()
    broken = Broken()
    observe = Fanout([broken, noted])

    with caplog.at_level(logging.ERROR):
        observe(ReadFinished(1, 0.1))
        observe(ReadFinished(2, 0.1))

    assert noted.events == [ReadFinished(1, 0.1), ReadFinished(2, 0.1)]
    assert broken.calls == 1
    assert [(r.levelname, r.observer) for r in caplog.records] == [("ERROR", "Broken")]  # type: ignore[attr-defined]
