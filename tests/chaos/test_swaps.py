"""Models replaced while workers are killed and partitions move: still one answer each, and one true story."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from tests.support.lines import Feeder, Rehearsed, together
from tests.support.stage import Stage, Told, listening
from tests.support.worker_process import Group, Worker, until

SWAPS, PER_S, SWAP_EVERY_S = 20, 1_000, 0.7
SLOTS = ("w-0", "w-1")


def test_swaps_amid_kills_and_rebalances_are_announced_where_they_take_effect(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[[Path], Worker]
) -> None:
    enough = threading.Event()
    generations: list[int] = []

    def swap() -> None:
        for package in cycle(two_lines.packages):
            generations.append(lines.promote(package).generation)
            if enough.wait(SWAP_EVERY_S):
                return

    lines.promote(two_lines.packages[1])
    group = Group(lines)
    configs = {slot: lines.config(slot) for slot in SLOTS}
    workers: dict[str, Worker] = {}

    def start(slot: str) -> Worker:
        workers[slot] = start_worker(configs[slot])
        return workers[slot]

    def shared_by(members: int) -> Callable[[], bool]:
        return lambda: sum(bool(partitions) for partitions in group.members().values()) == members

    with (
        listening(lines) as told,
        Feeder(lines.bootstrap, lines.topics["input"], per_s=PER_S) as feeder,
    ):
        until("both have partitions", shared_by(2), *map(start, SLOTS))
        with together(threading.Thread(target=swap, name="swaps", daemon=True)):
            try:
                for victim, survivor in (SLOTS, SLOTS[::-1]):
                    # Killed, and back before the group has missed it: it goes on where it was.
                    assert workers[victim].kill() == -signal.SIGKILL
                    until("it is back", says_more(told, victim), start(victim), workers[survivor])
                    # Killed for good: the other one takes over its partitions, and gives them back.
                    assert workers[victim].kill() == -signal.SIGKILL
                    until("one has all", shared_by(1), workers[survivor])
                    until("both have partitions", shared_by(2), start(victim), workers[survivor])
                until("it was swapped often", lambda: len(generations) >= SWAPS, *workers.values())
            finally:
                enough.set()
        last = generations[-1]
        until("the last one serves", told.says("model.activated", last), *workers.values())
    until("all events are answered", lines.answered(feeder.sent), *workers.values())
    assert {worker.terminate() for worker in workers.values()} == {0}
    outcome = lines.outcome()

    assert outcome.faults == []
    assert {one.version for one in outcome.changes} == {"1.0.0", "2.0.0"}
    assert {one.place[0] for one in outcome.changes} == {0, 1, 2, 3}


def says_more(told: Told, slot: str) -> Callable[[], bool]:
    """Return what tells whether the worker of `slot` has announced a model since now."""

    def announcements() -> int:
        return sum(one["instance"] == slot for one in told.events("model.activated"))

    before = announcements()
    return lambda: announcements() > before
