"""A second worker joins and leaves while events flow: each event is answered once, in its order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.worker_process import Group, Worker, until

COUNT = 100_000
AT_FIRST, WITH_BOTH, AT_THE_LEAVE = 20_000, 10_000, 20_000
A_FEW = 400


def test_a_worker_that_joins_and_leaves_disturbs_no_answer(
    pipeline: Callable[[Framing], Pipeline], start_worker: Callable[[Path], Worker]
) -> None:
    events = generate(COUNT, Framing.NONE, seed=3)
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    sent = 0

    def feed(count: int) -> None:
        nonlocal sent
        send(tested.bootstrap, tested.input, events[sent : sent + count])
        sent += count

    def all_answered() -> bool:
        return group.committed() == sent

    def shared() -> bool:
        feed(A_FEW)  # so that the group changes amid traffic
        members = group.members()
        return len(members) == 2 and all(members.values())

    feed(AT_FIRST)
    first = start_worker(tested.write_config("0"))
    until("the first worker answers", lambda: group.committed() > 0, first)

    second = start_worker(tested.write_config("1"))
    until("both workers have partitions", shared, first, second)
    feed(WITH_BOTH)
    until("both workers answer", all_answered, first, second)

    feed(AT_THE_LEAVE)
    assert second.terminate() == 0
    assert sent < COUNT
    feed(COUNT - sent)
    until("the first worker answers the rest", all_answered, first)
    assert first.terminate() == 0
    verdict, _imported = tested.judged()

    assert verdict.faults == {}, verdict.examples
    assert verdict.counts["committed"] == COUNT
    assert verdict.dead_letters == Counter(str(event.poison) for event in events if event.poison)
