"""Models replaced under load: each answer is of one model, and the announcements say which, from where on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from tests.support.lines import Feeder, Rehearsed, line
from tests.support.stage import Stage, listening
from tests.support.worker_process import Worker, until

REHEARSED_SWAPS, FIRST_TIME_SWAPS = 20, 5
PER_S = 1_500


def test_swaps_under_load_are_announced_where_they_take_effect(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[[Path], Worker], tmp_path: Path
) -> None:
    new = [line(tmp_path, number) for number in range(3, 3 + FIRST_TIME_SWAPS)]
    turns = [*islice(cycle(reversed(two_lines.packages)), REHEARSED_SWAPS), *new]
    first = lines.promote(two_lines.packages[0])
    worker = start_worker(lines.config("w-0"))

    with listening(lines) as told:
        with Feeder(lines.bootstrap, lines.topics["input"], per_s=PER_S) as feeder:
            until("the first one serves", told.says("model.activated", first.generation), worker)
            for package in turns:
                wish = lines.promote(package)
                until(f"{package.name} serves", told.says("model.activated", wish.generation), worker)
            before = feeder.sent
            until("some more events are sent", lambda: feeder.sent > before + PER_S // 10, worker)
        until("all events are answered", lines.answered(feeder.sent), worker)
        assert worker.terminate() == 0
        announced = told.events("model.activated")
    outcome = lines.outcome()

    assert outcome.faults == []
    generations = [one["model"]["generation"] for one in announced]
    assert sorted(generations) == list(range(1, len(turns) + 2))
    changes = Counter(one.place[0] for one in outcome.changes)
    assert set(changes.values()) == {len(turns) + 1}
