"""A broker that stands still for longer than the sessions of the workers, and goes on.

By default one short silence. `STREAM_INFER_STALLS=12 pytest -s tests/chaos/test_stalled_broker.py`: two
workers live through twelve silences of 11 to 25 s, twice, and two of three brokers are away for 45 s.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from stream_infer.flow.errors import BrokerUnreachable
from tests.conftest import new_topics, own_cluster
from tests.support.broker import Broker
from tests.support.cluster import Cluster
from tests.support.events import Framing, generate, send
from tests.support.log import committed
from tests.support.package import Package
from tests.support.pipeline import Pipeline
from tests.support.trickle import trickling
from tests.support.worker_process import Group, Worker, until

STALLS = int(os.environ.get("STREAM_INFER_STALLS", "0"))
LONG = pytest.mark.skipif(
    not STALLS, reason="takes minutes: set STREAM_INFER_STALLS to the number of silences"
)
WITHIN_S = 120.0
ANSWERED_WITHIN_S = 30.0
"""Of the long forms: what is promised after the broker's return."""
COUNT = 2_000

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with own_cluster() as running:
        yield running


@pytest.fixture(scope="module")
def broker(cluster: Cluster) -> Broker:
    return Broker(cluster.bootstrap, cluster.route)


def pause_s(seconds: float) -> None:
    """Let time pass: here the length of a silence is what is tested."""
    threading.Event().wait(seconds)


def shared(group: Group) -> bool:
    try:
        return sorted(group.members().values()) == [2, 2]
    except (BrokerUnreachable, KafkaException):  # a coordinator that has just come back
        return False


def note(what: str, answered_s: list[float]) -> None:
    sys.stdout.write(f"\n{what}: all answered {[round(s, 1) for s in answered_s]} s after the return\n")


def answers(pipeline: Pipeline, *, more_than: int) -> bool:
    try:
        return sum(committed(pipeline.bootstrap, pipeline.group, pipeline.input).values()) > more_than
    except KafkaException:  # a coordinator that has just come back
        return False


def lives_through(
    pipeline: Pipeline, start: Start, silences: list[Callable[[], None]], **settings: dict[str, int]
) -> list[float]:
    """Run two workers under 100 events/s through each silence; return the seconds until all was answered."""
    group = Group(pipeline)
    workers = [start(pipeline.write_config(slot, **settings)) for slot in ("0", "1")]
    until("both have partitions", lambda: sorted(group.members().values()) == [2, 2], *workers)
    answered_s = []
    sent = 0
    for silence in silences:
        with trickling(pipeline.bootstrap, pipeline.input, generate(500, Framing.NONE, seed=21)) as trickle:
            until("they answer", partial(answers, pipeline, more_than=sent), *workers)
            silence()
            ended = time.monotonic()
        sent += trickle.sent
        until("all is answered", partial(answers, pipeline, more_than=sent - 1), *workers, within_s=WITHIN_S)
        answered_s.append(time.monotonic() - ended)
    for worker in workers:
        assert worker.terminate() == 0, worker.output()
    return answered_s


def test_workers_live_through_a_silence_that_ends_their_sessions(
    cluster: Cluster, pipeline: MakePipeline, start_worker: Start
) -> None:
    tested = pipeline(Framing.NONE)

    def silence() -> None:
        cluster.pause(0)
        pause_s(7.0)
        cluster.resume(0)

    lives_through(tested, start_worker, [silence])  # their session timeout is 3 s

    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


def test_a_broker_that_restarts_while_partitions_are_assigned_ends_no_worker(
    cluster: Cluster, pipeline: MakePipeline, start_worker: Start
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=22))
    first = start_worker(tested.write_config("0"))
    until("the first has all partitions", lambda: list(group.members().values()) == [4], first)
    second = start_worker(tested.write_config("1"))
    until("the second asks for partitions", lambda: "worker started" in second.output(), first, second)

    cluster.kill(0)
    cluster.start(0)

    until("both have partitions", partial(shared, group), first, second, within_s=WITHIN_S)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=23))
    done = partial(answers, tested, more_than=2 * COUNT - 1)
    until("all is answered", done, first, second, within_s=WITHIN_S)
    assert [first.terminate(), second.terminate()] == [0, 0], first.output() + second.output()
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


@LONG
@pytest.mark.parametrize("session_timeout_ms", [30_000, 10_000])
def test_workers_live_through_many_silences(
    cluster: Cluster, pipeline: MakePipeline, start_worker: Start, session_timeout_ms: int
) -> None:
    tested = pipeline(Framing.NONE)

    def silence(seconds: float) -> None:
        cluster.pause(0)
        pause_s(seconds)
        cluster.resume(0)

    lengths_s = [11.0 + 14.0 * index / max(1, STALLS - 1) for index in range(STALLS)]
    silences: list[Callable[[], None]] = [partial(silence, seconds) for seconds in lengths_s]
    session = {"session.timeout.ms": session_timeout_ms, "heartbeat.interval.ms": 3_000}
    answered_s = lives_through(tested, start_worker, silences, kafka_consumer=session)

    note(f"silences of {lengths_s} s, session timeout {session_timeout_ms} ms", answered_s)
    assert max(answered_s) < ANSWERED_WITHIN_S
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples


@LONG
def test_workers_live_through_the_loss_of_two_of_three_brokers(
    package: Package, start_worker: Start, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        three = stack.enter_context(own_cluster(nodes=3))
        topics = stack.enter_context(new_topics(three.bootstrap, copies=3))
        tested = Pipeline(
            "three",
            Framing.NONE,
            three.bootstrap,
            topics("in"),
            topics("out"),
            topics("dlq"),
            package,
            tmp_path,
        )

        def silence() -> None:
            three.pause(1)
            three.pause(2)
            pause_s(45.0)
            three.resume(1)
            three.resume(2)

        session = {"session.timeout.ms": 30_000, "heartbeat.interval.ms": 3_000}
        answered_s = lives_through(tested, start_worker, [silence, silence], kafka_consumer=session)

        note("two of three brokers away for 45 s, twice", answered_s)
        assert max(answered_s) < ANSWERED_WITHIN_S
        verdict, _imported = tested.judged()
        assert verdict.faults == {}, verdict.examples
