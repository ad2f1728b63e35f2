"""Collects reference cycles between batches: never within a batch, never among imported modules.

A batch makes some ten thousand objects at once, and frees them all by reference count. CPython takes that for
growth and looks through young objects every 700 allocations, and again and again through all of them (some
300,000 once scikit-learn and pandas are imported): 0.8 us an event, a fifth of everything. Nothing of a batch
is in a cycle; what a model, a log line or a scrape leaves in one is found a moment later.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stream_infer.flow.events import Event

_EVERY_S = 0.25
_ALL_EVERY = 40
_YOUNG, _ALL = 1, 2


class CollectBetweenBatches:
    """An observer that calls `collect` when the loop tells something, at most once in `every_s`.

    It is told to look at what is young (1), and once in 10 s at everything (2), which a model that was loaded
    meanwhile makes 5 ms and more.
    """

    def __init__(
        self,
        collect: Callable[[int], object] = gc.collect,
        *,
        every_s: float = _EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collect = collect
        self._every_s = every_s
        self._clock = clock
        self._due = clock() + every_s
        self._sweeps = 0

    def __call__(self, _event: Event, /) -> None:
        now = self._clock()
        if now >= self._due:
            self._due = now + self._every_s
            self._sweeps += 1
            self._collect(_YOUNG if self._sweeps % _ALL_EVERY else _ALL)


@contextmanager
def without_collections() -> Iterator[None]:
    """Collect no cycles while the block runs, for imports: the objects that they create stay.

    Imports make objects by the hundred thousand, and a quarter of the time of `run`'s was looking through
    them, again and again.
    """
    automatic = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if automatic:
            gc.enable()


@contextmanager
def between_batches() -> Iterator[CollectBetweenBatches]:
    """Collect cycles only between batches while the block runs; what exists at its beginning is not searched.

    Searching it first would take 0.2 s and find a thousand objects among 170,000.
    """
    gc.freeze()
    try:
        with without_collections():
            yield CollectBetweenBatches()
    finally:
        gc.unfreeze()
