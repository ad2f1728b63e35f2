"""Workers killed with uncommitted output: nothing of it is seen, nothing is lost, nothing is doubled."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from tests.support.broker import Route
from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.proxy import Api, Proxy
from tests.support.worker_process import Group, Worker, until

COUNT = 100_000
KILLS = 5
COMMITS_BEFORE = (0, 1, 2, 3, 1)
WITHIN_S = 60.0
# At least 50 transactions, so that there are enough left for each kill.
SMALL_BATCHES = {"max_batch_records": 2_000}


def test_five_kills_amid_transactions_leave_one_answer_for_each_event(
    route: Route,
    proxy: Proxy,
    pipeline: Callable[[Framing], Pipeline],
    start_worker: Callable[[Path], Worker],
) -> None:
    events = generate(COUNT, Framing.NONE, seed=2)
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, events)
    config = tested.write_config("0", bootstrap=route.bootstrap, worker=SMALL_BATCHES)

    ended: dict[int, int] = {}
    aborted = [0]
    for commits in COMMITS_BEFORE:
        # The client sends EndTxn when the broker has all the output: held, it stays uncommitted.
        held = proxy.hold(Api.END_TXN, skip=commits)
        worker = start_worker(config)
        until("the worker is about to commit", held.is_caught, worker, within_s=WITHIN_S)
        assert group.committed() < COUNT
        ended[worker.pid] = worker.kill()
        held.drop()
        aborted.append(tested.uncommitted())
    last = start_worker(config)
    until("all events are answered", lambda: group.committed() == COUNT, last, within_s=WITHIN_S)
    assert last.terminate() == 0
    verdict, _imported = tested.judged()

    assert verdict.faults == {}, verdict.examples
    assert len(ended) == KILLS
    assert set(ended.values()) == {-signal.SIGKILL}
    assert all(before < after for before, after in pairwise(aborted)), aborted
    assert tested.uncommitted() >= aborted[-1]
    assert verdict.dead_letters == Counter(str(event.poison) for event in events if event.poison)
