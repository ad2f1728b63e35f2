"""100,000 events, one in a hundred poisoned: every one has exactly one answer, and the right one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.events import Framing, generate, kinds_of_poison, send
from tests.support.pipeline import Pipeline
from tests.support.worker_process import Group, Worker, until

COUNT = 100_000
LINES_A_MINUTE = 6


@pytest.mark.parametrize("framing", list(Framing))
def test_every_event_is_answered_once_and_rightly(
    framing: Framing, pipeline: Callable[[Framing], Pipeline], start_worker: Callable[[Path], Worker]
) -> None:
    events = generate(COUNT, framing, seed=1)
    poison = Counter(str(event.poison) for event in events if event.poison)
    tested = pipeline(framing)
    group = Group(tested)
    send(tested.bootstrap, tested.input, events)

    worker = start_worker(tested.write_config("0"))
    until("all events are answered", lambda: group.committed() == COUNT, worker)
    assert worker.terminate() == 0
    verdict, imported = tested.judged()

    assert verdict.faults == {}, verdict.examples
    assert verdict.dead_letters == poison
    assert set(poison) == {str(kind) for kind in kinds_of_poison(framing)}
    assert verdict.counts == {
        "input": COUNT,
        "predictions": COUNT - poison.total(),
        "dead_letters": poison.total(),
        "committed": COUNT,
    }
    assert "stream_infer" not in imported
    # A flood of bad events: summaries, one at once and then one every 30 s.
    assert len([line for line in worker.lines() if '"level": "info"' not in line]) <= LINES_A_MINUTE
