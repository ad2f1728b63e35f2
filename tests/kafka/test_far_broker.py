"""A broker far away: every request takes long, and none of them is in doubt for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.broker import Route
from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import metric_lines
from tests.support.relay import DelayingRelay
from tests.support.worker_process import Group, Worker, until

NEAR = 200
FAR = 600
BATCH = 100
ROUND_TRIP_S = 0.15


@pytest.fixture
def relay(route: Route) -> Iterator[DelayingRelay]:
    """Return a relay that listens on `route.bootstrap`."""
    with DelayingRelay(route.listen, route.upstream) as listening:
        yield listening


def test_a_long_round_trip_renews_no_producer(
    route: Route,
    relay: DelayingRelay,
    pipeline: Callable[[Framing], Pipeline],
    start_worker: Callable[[Path], Worker],
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    events = generate(NEAR + FAR, Framing.NONE, seed=5)
    [port] = free_ports(1)
    config = tested.write_config(
        "0", bootstrap=route.bootstrap, worker={"max_batch_records": BATCH}, http={"port": port}
    )
    send(tested.bootstrap, tested.input, events[:NEAR])
    worker = start_worker(config)
    until("the first events are answered", lambda: group.committed() == NEAR, worker)

    relay.round_trip_s = ROUND_TRIP_S
    send(tested.bootstrap, tested.input, events[NEAR:])
    until("all events are answered", lambda: group.committed() == NEAR + FAR, worker)
    until("they took as many transactions", lambda: committed(port) >= (NEAR + FAR) / BATCH, worker)
    renewed = samples(port, "stream_infer_producer_renewals_total")
    assert worker.terminate() == 0

    assert renewed == 0
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


def committed(port: int) -> float:
    """Return the number of committed transactions."""
    return samples(port, "stream_infer_transactions_total", 'result="committed"')


def samples(port: int, name: str, label: str = "") -> float:
    """Return the sum of the samples of a metric that have `label`."""
    return sum(float(line.rsplit(" ", 1)[1]) for line in metric_lines(port, name) if label in line)
