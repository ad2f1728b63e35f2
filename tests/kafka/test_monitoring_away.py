"""Monitoring topics that are deleted or denied: scoring goes on, says so, and nothing is missing after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Topics
from tests.support.access import denied
from tests.support.events import Framing, generate, send
from tests.support.log import read_all
from tests.support.pipeline import Pipeline
from tests.support.watched import Watched, by_window, everything, watch
from tests.support.worker_process import Group, Worker, until

PART, WINDOW, PARTITIONS = 8_000, 1_600, 4


def check_windows(watched: Watched, count: int, first: int = 0) -> None:
    """Check that the frames tell of `count` records from `first` on in each partition, window by window."""
    told = {window: frame.records for window, frame in by_window(watched.frames()).items()}
    expected = {
        (partition, start): min(start + WINDOW, count) - max(start, first)
        for partition in range(PARTITIONS)
        for start in range(first // WINDOW * WINDOW, count, WINDOW)
    }
    assert told == expected


@pytest.mark.parametrize(
    ("guarantee", "allowed"), [("exactly_once", set()), ("at_least_once", {"doubled", "wrong order"})]
)
def test_a_deleted_topic_of_frames_stops_nothing_and_what_waited_comes_when_it_is_made_again(
    pipeline: Callable[[Framing], Pipeline],
    topics: Topics,
    start_worker: Callable[[Path], Worker],
    guarantee: str,
    allowed: set[str],
) -> None:
    watched = watch(pipeline(Framing.NONE), topics)
    group = Group(watched.line)
    parts = [generate(PART, Framing.NONE, seed=seed) for seed in range(3)]
    worker = start_worker(watched.config("w", delivery={"guarantee": guarantee}))
    send(watched.line.bootstrap, watched.line.input, parts[0])
    until("the first part is answered", lambda: group.committed() == PART, worker)
    check_windows(watched, PART // PARTITIONS)

    watched.delete(watched.observations)
    send(watched.line.bootstrap, watched.line.input, parts[1])
    until("the second part is answered", lambda: group.committed() == 2 * PART, worker)
    ready = watched.ready()
    assert ready["ready"]
    assert ready["degraded"] == [f"{watched.observations} does not exist"]
    assert watched.metric("stream_infer_degraded") == 1
    assert watched.metric("stream_infer_withheld_records") > 0

    watched.make_again(watched.observations)
    until("what waited is written", lambda: watched.ready()["degraded"] == [], worker)
    send(watched.line.bootstrap, watched.line.input, parts[2])
    until("the third part is answered", lambda: group.committed() == 3 * PART, worker)

    check_windows(watched, 3 * PART // PARTITIONS, PART // PARTITIONS)
    assert watched.metric("stream_infer_withheld_records") == 0
    verdict, _imported = watched.line.judged()
    assert set(verdict.faults) <= allowed, verdict.examples


def test_topics_that_may_not_be_written_stop_neither_the_start_nor_the_scoring(
    pipeline: Callable[[Framing], Pipeline], topics: Topics, start_worker: Callable[[Path], Worker]
) -> None:
    watched = watch(pipeline(Framing.NONE), topics)
    group = Group(watched.line)
    parts = [generate(PART, Framing.NONE, seed=seed) for seed in range(4)]
    config = watched.config("w")
    names = [watched.observations, watched.monitoring]
    with denied(watched.line.bootstrap, names) as allow:
        worker = start_worker(config)
        send(watched.line.bootstrap, watched.line.input, parts[0])
        until("the first part is answered", lambda: group.committed() == PART, worker)
        assert watched.ready()["degraded"] == [
            f"{watched.monitoring} may not be written by this principal",
            f"{watched.observations} may not be written by this principal",
        ]
        allow()
    send(watched.line.bootstrap, watched.line.input, parts[1])
    until("the second part is answered", lambda: group.committed() == 2 * PART, worker)
    with denied(watched.line.bootstrap, names) as allow:
        send(watched.line.bootstrap, watched.line.input, parts[2])
        until("the third part is answered", lambda: group.committed() == 3 * PART, worker)
        assert watched.ready()["ready"]
        assert len(watched.ready()["degraded"]) >= 1
        allow()
        until("what waited is written", lambda: watched.ready()["degraded"] == [], worker)
    send(watched.line.bootstrap, watched.line.input, parts[3])
    until("all is answered", lambda: group.committed() == 4 * PART, worker)
    assert worker.terminate() == 0

    check_windows(watched, 4 * PART // PARTITIONS)
    told = [event["type"] for event in watched.events()]
    assert [kind for kind in told if kind != "group.begun"] == ["model.activated"]
    verdict, _imported = watched.line.judged()
    assert verdict.faults == {}, verdict.examples


def test_the_monitor_goes_on_in_a_topic_that_was_made_in_the_place_of_another(
    pipeline: Callable[[Framing], Pipeline], topics: Topics
) -> None:
    watched = watch(pipeline(Framing.NONE), topics)
    group = Group(watched.line)
    parts = [generate(PART, Framing.NONE, seed=seed) for seed in range(3)]
    with everything(watched.config("w"), "--role", "all") as (command, _children):
        send(watched.line.bootstrap, watched.line.input, parts[0])
        until("the monitor knows of the first part", lambda: watched.remembered() == PART, command)

        watched.delete(watched.observations)
        send(watched.line.bootstrap, watched.line.input, parts[1])
        until("the second part is answered", lambda: group.committed() == 2 * PART, command)

        watched.make_again(watched.observations)
        send(watched.line.bootstrap, watched.line.input, parts[2])
        until("the monitor knows of all", lambda: watched.remembered() == 3 * PART, command, within_s=90)
        assert command.terminate() == 0
    assert len(read_all(watched.line.bootstrap, watched.line.predictions)) > 2.9 * PART
