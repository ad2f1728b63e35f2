"""The speed of the worker is that nothing is done per record in Python: this counts calls, not time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from confluent_kafka import Message

from stream_infer.flow.records import Batch, Channel, Headers, Output
from stream_infer.kafka.columns import Gathered
from stream_infer.kafka.publish import produce_all
from stream_infer.runtime.gc_schedule import between_batches
from tests.unit.steps import world

ROWS = 2_000
TRACE = ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
CALLS_PER_BATCH = 1_000
"""A batch makes some hundred calls whatever is in it: less than half a call a record, here and above."""


def calls_of(program: Callable[[], object]) -> Counter[str]:
    """Return how often each function was called from Python code by `program`: Python's own and C's."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _argument: Any) -> None:
        if event in {"call", "c_call"}:
            calls[f"{event} in {frame.f_code.co_filename}:{frame.f_code.co_qualname}"] += 1

    before = sys.getprofile()
    with between_batches():  # as in the worker; whoever is told of collections would be counted
        sys.setprofile(count)
        try:
            program()
        finally:
            sys.setprofile(before)
    return calls


def good_batch(rows: int) -> Batch:
    return world.batch([world.event(id=f"e{row}", amount=float(row % 50)) for row in range(rows)])


def of_two_sizes(run: Callable[[int], object]) -> tuple[int, int]:
    """Return the calls for a batch and for one ten times as large, both after one that warms up."""
    run(ROWS)
    return sum(calls_of(lambda: run(ROWS)).values()), sum(calls_of(lambda: run(10 * ROWS)).values())


@pytest.mark.parametrize("copy", [(), ("id", "items")], ids=["plain", "with copied fields"])
def test_the_step_calls_no_python_function_per_record(copy: tuple[str, ...]) -> None:
    step = world.score(events=replace(world.EVENTS, copy=copy))
    batches = {rows: good_batch(rows) for rows in (ROWS, 10 * ROWS)}

    small, large = of_two_sizes(lambda rows: step(batches[rows]))

    assert small < CALLS_PER_BATCH
    assert large < small + 100  # not one more in two hundred records


def test_trace_headers_are_taken_over_without_python_per_record() -> None:
    step = world.score()
    batches = {rows: replace(good_batch(rows), headers=[[TRACE]] * rows) for rows in (ROWS, 10 * ROWS)}

    small, large = of_two_sizes(lambda rows: step(batches[rows]))

    assert step(batches[ROWS]).outputs[0].headers[0] == [TRACE]
    assert large < small + 100


def test_a_bad_record_has_a_few_looked_at_and_not_all() -> None:
    def spoilt(rows: int) -> Batch:
        values = list(good_batch(rows).values)
        values[7] = (values[7] or b"")[:-3]
        return world.batch(values)

    step = world.score()
    batches = {rows: spoilt(rows) for rows in (ROWS, 10 * ROWS)}

    small, large = of_two_sizes(lambda rows: step(batches[rows]))

    assert large < small + ROWS / 2


@pytest.mark.parametrize("topics", [["t"], ["t", "u"]], ids=["one topic", "two topics"])
def test_messages_become_columns_without_python_per_record(topics: list[str]) -> None:
    messages = {
        rows: [Message(topic="t", partition=row * 4 // rows, offset=row) for row in range(rows)]
        for rows in (ROWS, 10 * ROWS)
    }

    def read(rows: int) -> Batch:
        gathered = Gathered(topics)
        gathered.add(messages[rows])
        return gathered.batch(0)

    small, large = of_two_sizes(read)

    assert large == small


@pytest.mark.parametrize("headers", [None, [TRACE]], ids=["without headers", "with headers"])
def test_predictions_are_queued_without_python_per_record(headers: Headers | None) -> None:
    class Producer:
        queued = 0
        produce = staticmethod("".format)  # takes anything, and is C as the client's own

    def output(rows: int) -> Output:
        return Output(
            Channel.PREDICTIONS, range(rows), [b"k"] * rows, [b"v"] * rows, [headers] * rows, [0] * rows
        )

    producer: Any = Producer()
    small, large = of_two_sizes(lambda rows: produce_all(producer, "t", output(rows)))

    assert large == small
