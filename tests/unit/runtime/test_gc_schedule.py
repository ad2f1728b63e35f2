from __future__ import annotations

import gc
import weakref

import pytest

from stream_infer.flow.events import ReadFinished
from stream_infer.runtime.gc_schedule import CollectBetweenBatches, between_batches


class Knot:
    def __init__(self) -> None:
        self.self = self


def test_a_cycle_made_by_a_batch_is_found_after_it() -> None:
    with between_batches():
        knot = weakref.ref(Knot())
        assert knot() is not None

        CollectBetweenBatches(every_s=0.0)(ReadFinished(0, 0.1))

        assert knot() is None


def test_it_collects_no_more_often_than_asked_for() -> None:
    times = iter([0.0, 0.5, 1.0, 1.5, 2.5])
    collected: list[int] = []
    sweep = CollectBetweenBatches(collected.append, every_s=1.0, clock=lambda: next(times))
    seen = []

    for _ in range(4):
        sweep(ReadFinished(1, 0.0))
        seen.append(len(collected))

    assert seen == [0, 1, 1, 2]


def test_what_is_old_is_looked_at_seldom_but_is() -> None:
    collected: list[int] = []
    sweep = CollectBetweenBatches(collected.append, every_s=0.0)

    for _ in range(80):
        sweep(ReadFinished(1, 0.0))

    assert collected.count(1) == 78
    assert collected.count(2) == 2


def test_python_collects_by_itself_again_afterwards_even_after_a_failure() -> None:
    automatic: list[bool] = []

    with pytest.raises(ZeroDivisionError), between_batches():
        automatic.append(bool(gc.isenabled() / 0))

    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_python_does_not_collect_by_itself_meanwhile() -> None:
    with between_batches():
        assert not gc.isenabled()
