"""`run --workers 2`: two members of one group, each with its own slot, through kills of any process."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable

import psutil

from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.watched import everything
from tests.support.worker_process import Group, until

COUNT = 20_000


def test_two_workers_come_back_under_their_slots_when_they_or_their_supervisor_are_killed(
    pipeline: Callable[[Framing], Pipeline],
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    events = generate(COUNT, Framing.NONE, seed=4)
    members = {f"{tested.group}.fraud-0": 2, f"{tested.group}.fraud-1": 2}
    # The second worker has the next port: both have to be free when the command starts again.
    [port] = free_ports(1)
    config = tested.write_config("fraud", http={"port": port})

    with everything(config, "--workers", "2") as (command, workers):
        until("each has two partitions", lambda: group.members() == members, command)
        send(tested.bootstrap, tested.input, events[: COUNT // 2])
        until("half is answered", lambda: group.committed() == COUNT // 2, command)

        first = workers()
        first[0].send_signal(signal.SIGKILL)
        send(tested.bootstrap, tested.input, events[COUNT // 2 :])
        until("all is answered", lambda: group.committed() == COUNT, command)
        until("both are back", lambda: group.members() == members, command)
        second = workers()
        command.kill()
        _gone, orphans = psutil.wait_procs(second, timeout=20)
        for orphan in orphans:
            orphan.kill()
    with everything(config, "--workers", "2") as (command, workers):
        more = generate(COUNT // 10, Framing.NONE, seed=5)
        send(tested.bootstrap, tested.input, more)
        until("more is answered", lambda: group.committed() == COUNT + len(more), command)
        until("both are back again", lambda: group.members() == members, command)
        third = workers()
        assert command.terminate() == 0
        assert not any(process.is_running() for process in third)

    assert len({process.pid for process in (*first, *second)}) == 3
    assert orphans == []
    assert config.with_suffix(".log").read_text(encoding="utf-8").count("supervisor ended") == 2
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples
    poison = [str(event.poison) for event in (*events, *more) if event.poison]
    assert verdict.dead_letters == Counter(poison)
