"""Requests of one turn of the event loop are one pass; each caller gets its own answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from stream_infer.serving.batching import Batcher, Limits, Overloaded
from stream_infer.steps.scoring.isolate import Expired


class Scorer:
    """Answers a number by its double; `-1` raises. Records its passes; waits for `gate` in each."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.passes: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.expired = False
        self.observed: list[tuple[int, float, Sequence[float]]] = []

    def observe(self, rows: int, seconds: float, waited_s: Sequence[float]) -> None:
        self.observed.append((rows, seconds, waited_s))

    def __call__(self, numbers: Sequence[int], expired: Expired) -> list[int]:
        self.passes.append(list(numbers))
        self.entered.set()
        assert self.gate.wait(60)
        self.expired = expired()
        if -1 in numbers:
            raise ValueError("minus one")
        return [2 * number for number in numbers]


@pytest.fixture
def scorer() -> Scorer:
    return Scorer()


def batcher_of(scorer: Scorer, limits: Limits) -> Batcher[int, int]:
    return Batcher(scorer, limits, scorer.observe)


async def asked(batcher: Batcher[int, int], *numbers: int) -> list[int | BaseException]:
    answers = (batcher.submit(number, rows=1) for number in numbers)
    return list(await asyncio.gather(*answers, return_exceptions=True))


async def entered(scorer: Scorer) -> None:
    assert await asyncio.to_thread(scorer.entered.wait, 60)


def test_what_is_asked_in_one_turn_is_one_pass(scorer: Scorer) -> None:
    answers = asyncio.run(asked(batcher_of(scorer, Limits()), 1, 2, 3))

    assert answers == [2, 4, 6]
    assert scorer.passes == [[1, 2, 3]]


def test_a_pass_has_no_more_rows_than_the_limit(scorer: Scorer) -> None:
    answers = asyncio.run(asked(batcher_of(scorer, Limits(batch_rows=2)), 1, 2, 3))

    assert answers == [2, 4, 6]
    assert scorer.passes == [[1, 2], [3]]


def test_what_comes_during_a_long_pass_is_the_next_one(scorer: Scorer) -> None:
    async def scene() -> list[int]:
        batcher = batcher_of(scorer, Limits())
        scorer.gate.clear()
        first = batcher.submit(1, rows=10**6)
        await entered(scorer)
        rest = [batcher.submit(number, rows=1) for number in (2, 3)]
        await asyncio.sleep(0)
        scorer.gate.set()
        return list(await asyncio.gather(first, *rest))

    assert asyncio.run(scene()) == [2, 4, 6]
    assert scorer.passes == [[1], [2, 3]]


def test_an_error_reaches_every_caller_of_its_pass_and_no_other(scorer: Scorer) -> None:
    batcher = batcher_of(scorer, Limits(batch_rows=2))

    answers = asyncio.run(asked(batcher, -1, 1, 2))

    assert [type(answer) for answer in answers] == [ValueError, ValueError, int]


def test_a_caller_that_has_gone_is_not_scored(scorer: Scorer) -> None:
    async def scene() -> int:
        batcher = batcher_of(scorer, Limits())
        scorer.gate.clear()
        first = batcher.submit(1, rows=10**6)
        await entered(scorer)
        gone = batcher.submit(2, rows=1)
        kept = batcher.submit(3, rows=1)
        await asyncio.sleep(0)
        gone.cancel()
        scorer.gate.set()
        await first
        return await kept

    assert asyncio.run(scene()) == 6
    assert scorer.passes == [[1], [3]]


def test_a_full_queue_refuses_at_once(scorer: Scorer) -> None:
    async def scene() -> Overloaded:
        batcher = batcher_of(scorer, Limits(waiting_rows=5))
        scorer.gate.clear()
        first = batcher.submit(1, rows=10**6)
        await entered(scorer)
        waiting = batcher.submit(2, rows=5)
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await batcher.submit(3, rows=1)
        scorer.gate.set()
        await asyncio.gather(first, waiting)
        return refused.value

    assert asyncio.run(scene()).retry_after_s >= 1
    assert scorer.passes == [[1], [2]]


def test_each_pass_is_observed_with_its_rows_and_the_waits_of_its_requests(scorer: Scorer) -> None:
    asyncio.run(asked(batcher_of(scorer, Limits(batch_rows=2)), 1, 2, 3))

    assert [(rows, len(waited_s)) for rows, _, waited_s in scorer.observed] == [(2, 2), (1, 1)]
    assert all(seconds > 0 and min(waited_s) >= 0 for _, seconds, waited_s in scorer.observed)


@pytest.mark.parametrize(("leave", "expired"), [((0, 1), True), ((0,), False)])
def test_a_pass_may_stop_once_all_its_callers_have_gone(
    scorer: Scorer, leave: tuple[int, ...], *, expired: bool
) -> None:
    async def scene() -> None:
        batcher = batcher_of(scorer, Limits())
        scorer.gate.clear()
        callers = [batcher.submit(number, rows=1) for number in (1, 2)]
        await entered(scorer)
        for index in leave:
            callers[index].cancel()
        await asyncio.sleep(0)
        scorer.gate.set()
        await asyncio.gather(*callers, return_exceptions=True)
        batcher.close()

    asyncio.run(scene())
    assert scorer.passes == [[1, 2]]
    assert scorer.expired is expired
