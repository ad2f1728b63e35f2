"""`run --workers 2`: two members of one group, each with its own slot; one that is killed comes back."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.watched import everything
from tests.support.worker_process import Group, until

COUNT = 20_000


def test_two_workers_share_the_partitions_and_one_that_is_killed_comes_back_under_its_slot(
    pipeline: Callable[[Framing], Pipeline],
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    events = generate(COUNT, Framing.NONE, seed=4)
    members = {f"{tested.group}.fraud-0": 2, f"{tested.group}.fraud-1": 2}

    with everything(tested.write_config("fraud"), "--workers", "2") as (command, workers):
        until("each has two partitions", lambda: group.members() == members, command)
        send(tested.bootstrap, tested.input, events[: COUNT // 2])
        until("half is answered", lambda: group.committed() == COUNT // 2, command)

        first = workers()
        first[0].send_signal(signal.SIGKILL)
        send(tested.bootstrap, tested.input, events[COUNT // 2 :])
        until("all is answered", lambda: group.committed() == COUNT, command)
        until("both are back", lambda: group.members() == members, command)
        second = workers()
        assert len({process.pid for process in (*first, *second)}) == 3
        assert command.terminate() == 0
        assert not any(process.is_running() for process in second)

    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples
    assert verdict.dead_letters == Counter(str(event.poison) for event in events if event.poison)
