"""Micro-batches across requests: what has come in one turn of the event loop is scored in one pass.

There is no timer: a request that is alone is answered at once. A pass that is expected to be short runs on
the event loop, a longer one on a thread, and what comes meanwhile is the next batch.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from stream_infer.runtime.pacing import CostMeter
from stream_infer.steps.scoring.isolate import Expired

Q = TypeVar("Q")
A = TypeVar("A")

_SHORT_S = 0.005


class Overloaded(Exception):
    """More waits than the server holds. `retry_after_s` is how long it is expected to take."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too much waits for an answer; try again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Limits:
    """The rows of one pass (a single larger request is one pass too), and the rows that may wait."""

    batch_rows: int = 1_000
    waiting_rows: int = 20_000


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Q, A]):
    request: Q
    rows: int
    answer: asyncio.Future[A]
    since: float


ScorePass: TypeAlias = Callable[[Sequence[Q], Expired], Sequence[A]]
"""Answers several requests; it may raise once the second argument tells that nobody waits any more."""

PassObserver: TypeAlias = Callable[[int, float, Sequence[float]], None]
"""Is told of each pass: its rows, its seconds, and the seconds that each request had waited for it."""


class Batcher(Generic[Q, A]):
    """Scores requests with `score`, which answers several in one pass. One event loop owns it."""

    def __init__(self, score: ScorePass[Q, A], limits: Limits, observe: PassObserver) -> None:
        self._score = score
        self._limits = limits
        self._observe = observe
        self._waiting: deque[_Waiting[Q, A]] = deque()
        self._thread = ThreadPoolExecutor(1, "stream-infer-score")
        self._is_turn_due = False
        self._meter = CostMeter()
        self.waiting_rows = 0

    def submit(self, request: Q, rows: int) -> asyncio.Future[A]:
        """Return the answer to come to `request`, which has `rows` rows, or what `score` raises.

        Raises `Overloaded`. An answer that is done before, as by a cancelled caller, costs nothing further.
        """
        if self.waiting_rows and self.waiting_rows + rows > self._limits.waiting_rows:
            raise Overloaded(max(1.0, self._meter.cost.expected_s(self.waiting_rows)))
        loop = asyncio.get_running_loop()
        waiting = _Waiting(request, rows, loop.create_future(), time.perf_counter())
        self._waiting.append(waiting)
        self.waiting_rows += rows
        self._take_turn(loop)
        return waiting.answer

    def close(self) -> None:
        """End the thread after the pass that runs."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _take_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin a pass once all that this turn of the loop brings has come."""
        if not self._is_turn_due and self._waiting:
            self._is_turn_due = True
            loop.call_soon(self._begin, loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        batch = self._next_batch()
        expected_s = self._meter.cost.expected_s(sum(one.rows for one in batch))
        if not batch:
            self._is_turn_due = False
        elif expected_s <= _SHORT_S:
            self._end(loop, batch, self._pass(batch))
        else:
            running = loop.run_in_executor(self._thread, self._pass, batch)
            running.add_done_callback(lambda done: self._end(loop, batch, done.result()))

    def _next_batch(self) -> list[_Waiting[Q, A]]:
        batch: list[_Waiting[Q, A]] = []
        rows = 0
        while self._waiting and (not batch or rows + self._waiting[0].rows <= self._limits.batch_rows):
            one = self._waiting.popleft()
            self.waiting_rows -= one.rows
            if not one.answer.done():  # else its caller has gone
                batch.append(one)
                rows += one.rows
        return batch

    def _pass(self, batch: Sequence[_Waiting[Q, A]]) -> Sequence[A] | Exception:
        began = time.perf_counter()
        try:
            return self._score(
                [one.request for one in batch], lambda: all(one.answer.done() for one in batch)
            )
        except Exception as exception:  # noqa: BLE001 - each caller gets it
            return exception
        finally:
            rows, seconds = sum(one.rows for one in batch), time.perf_counter() - began
            self._meter.add(rows, seconds)
            self._observe(rows, seconds, [began - one.since for one in batch])

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: Sequence[_Waiting[Q, A]],
        answers: Sequence[A] | Exception,
    ) -> None:
        for index, one in enumerate(batch):
            if one.answer.done():
                continue
            if isinstance(answers, Exception):
                one.answer.set_exception(answers)
            else:
                one.answer.set_result(answers[index])
        self._is_turn_due = False
        self._take_turn(loop)
