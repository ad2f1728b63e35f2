"""A worker as its settings want it: where it starts, what it skips, when it halts, how it leaves."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from stream_infer.flow.codes import LogEvent
from tests.conftest import Topics
from tests.support.clients import admin
from tests.support.events import Event, Framing, Poison, generate, payment, poisoned, send
from tests.support.log import read_all
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import readyz
from tests.support.raw_producer import produce_raw_header
from tests.support.worker_process import Group, Worker, until

COUNT = 400
PARTITIONS = 4
EACH = COUNT // PARTITIONS
WITHIN_S = 60.0

MakePipeline = Callable[[Framing], Pipeline]
Start = Callable[[Path], Worker]


@pytest.fixture
def tested(pipeline: MakePipeline) -> Pipeline:
    return pipeline(Framing.NONE)


@pytest.fixture
def events() -> list[Event]:
    return generate(COUNT, Framing.NONE, seed=6)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def iso(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


@pytest.mark.parametrize(("start", "first"), [("earliest", 0), ("latest", EACH), ("timestamp", EACH)])
def test_a_new_group_starts_where_it_is_told(
    tested: Pipeline, events: list[Event], start_worker: Start, start: str, first: int
) -> None:
    group = Group(tested)
    send(tested.bootstrap, tested.input, events)
    newest = max(record.timestamp_ms for record in read_all(tested.bootstrap, tested.input))
    until("the clock has moved on", lambda: now_ms() > newest + 1)
    told = iso(newest + 1) if start == "timestamp" else start

    if start == "timestamp":  # more events of a later time, before there is a group
        send(tested.bootstrap, tested.input, events)
    worker = start_worker(tested.write_config("0", input={"start": told}))
    if start != "timestamp":
        until("the group has begun", lambda: group.members().get(f"{tested.group}.0") == PARTITIONS, worker)
        send(tested.bootstrap, tested.input, events)
    until("all events are answered", lambda: group.committed() == 2 * COUNT, worker)

    letters = len(read_all(tested.bootstrap, tested.dead_letters))
    answered = tested.answered()
    assert len(answered) + letters == 2 * COUNT - PARTITIONS * first
    assert min(offset for _, offset in answered) >= first
    lines = [json.loads(line) for line in worker.lines()]
    begins = [line["offsets"] for line in lines if line["event"] == LogEvent.READING_BEGINS]
    assert dict(ChainMap(*begins)) == {f"{tested.input}/{index}": first for index in range(PARTITIONS)}


def test_a_group_that_has_begun_goes_on_where_it_was(
    tested: Pipeline, events: list[Event], start_worker: Start
) -> None:
    group = Group(tested)
    send(tested.bootstrap, tested.input, events)
    first = start_worker(tested.write_config("0"))
    until("all events are answered", lambda: group.committed() == COUNT, first)
    assert first.terminate() == 0
    send(tested.bootstrap, tested.input, events)

    second = start_worker(tested.write_config("0", input={"start": "latest"}))
    until("all events are answered", lambda: group.committed() == 2 * COUNT, second)
    assert second.terminate() == 0

    assert tested.judged()[0].faults == {}


def test_tombstones_that_are_skipped_are_counted_and_answered_by_nothing(
    tested: Pipeline, events: list[Event], start_worker: Start
) -> None:
    group = Group(tested)
    tombstones = poisoned(40, Poison.NULL_VALUE, Framing.NONE, seed=1)
    good = [event for event in events if event.poison is None]
    send(tested.bootstrap, tested.input, [*good, *tombstones])
    worker = start_worker(tested.write_config("0", input={"tombstones": "skip"}))
    until("all are passed", lambda: group.committed() == len(good) + len(tombstones), worker)
    assert worker.terminate() == 0

    assert len(tested.answered()) == len(good)
    assert read_all(tested.bootstrap, tested.dead_letters) == []
    assert group.committed() == len(tested.answered()) + len(tombstones)


def test_a_header_name_that_is_no_text_makes_one_dead_letter_and_the_worker_goes_on(
    tested: Pipeline, events: list[Event], start_worker: Start
) -> None:
    group = Group(tested)
    good = [event for event in events if event.poison is None]
    value = good[0].value or b""
    send(tested.bootstrap, tested.input, good[: len(good) // 2])
    produce_raw_header(tested.bootstrap, tested.input, 1, value, b"\xff\xfe")
    send(tested.bootstrap, tested.input, good[len(good) // 2 :])
    worker = start_worker(tested.write_config("0"))
    until("all are answered", lambda: group.committed() == len(good) + 1, worker)
    assert worker.terminate() == 0

    [letter] = read_all(tested.bootstrap, tested.dead_letters)
    headers = dict(letter.headers)
    assert letter.value == value
    assert (headers["streaminfer.error.class"], headers["streaminfer.error.stage"]) == (
        b"invalid_headers",
        b"decode",
    )
    assert b"headers are left out" in (headers["__dlq.errors.message"] or b"")
    assert len(tested.answered()) == len(good)


def lose(tested: Pipeline, partition: int, before: int) -> None:
    """Delete the records of a partition that come before an offset, as retention does."""
    client = admin(tested.bootstrap)  # the answer comes only while the client lives
    [done] = client.delete_records([TopicPartition(tested.input, partition, before)]).values()
    done.result(WITHIN_S)


@pytest.mark.parametrize("running", [False, True], ids=["while away", "while it runs"])
def test_a_committed_offset_that_is_lost_halts_its_partition_and_no_other(
    tested: Pipeline, events: list[Event], start_worker: Start, *, running: bool
) -> None:
    group = Group(tested)
    [port] = free_ports(1)
    # The broker answers a fetch at once, so that none is waiting there while the worker is stopped.
    config = tested.write_config(
        "0",
        kafka_consumer={"fetch.wait.max.ms": 10, "session.timeout.ms": 30_000},
        http={"port": port},
    )
    send(tested.bootstrap, tested.input, events)
    worker = start_worker(config)
    until("all events are answered", lambda: group.committed() == COUNT, worker)

    if running:
        worker.send_signal(signal.SIGSTOP)
    else:
        assert worker.terminate() == 0
    send(tested.bootstrap, tested.input, events)
    lose(tested, 0, EACH + 50)
    if running:
        worker.send_signal(signal.SIGCONT)
    else:
        worker = start_worker(config)

    until("the others are answered", lambda: group.committed() == COUNT + 3 * EACH, worker)
    until("it is told", lambda: "on_lost_offset" in str(readyz(port).get("waiting_for")), worker)
    assert readyz(port)["ready"] is False
    assert f"partition halted: {tested.input}/0" in str(readyz(port)["waiting_for"])
    assert worker.output().count('"partition halted"') == 1
    assert worker.terminate() == 0
    assert max(offset for partition, offset in tested.answered() if partition == 0) < EACH


@pytest.mark.parametrize("running", [False, True], ids=["while away", "while it runs"])
def test_or_it_goes_on_from_the_earliest_record_where_it_is_told_to(
    tested: Pipeline, events: list[Event], start_worker: Start, *, running: bool
) -> None:
    group = Group(tested)
    config = tested.write_config(
        "0",
        input={"on_lost_offset": "earliest"},
        kafka_consumer={"fetch.wait.max.ms": 10, "session.timeout.ms": 30_000},
    )
    good = [event for event in events if event.poison is None][:200]
    send(tested.bootstrap, tested.input, good)
    worker = start_worker(config)
    until("all events are answered", lambda: group.committed() == len(good), worker)

    if running:
        worker.send_signal(signal.SIGSTOP)
    else:
        assert worker.terminate() == 0
    send(tested.bootstrap, tested.input, good)
    lose(tested, 0, 60)
    if running:
        worker.send_signal(signal.SIGCONT)
    else:
        worker = start_worker(config)
    until("the rest is answered", lambda: group.committed() == 2 * len(good), worker)
    assert worker.terminate() == 0

    answered = Counter(partition for partition, _ in tested.answered())
    assert answered == {0: 90, 1: 100, 2: 100, 3: 100}


def test_events_that_the_model_cannot_take_are_dead_letters_at_any_share(
    tested: Pipeline, start_worker: Start
) -> None:
    send(tested.bootstrap, tested.input, poisoned(COUNT, Poison.MODEL_RAISES, Framing.NONE, seed=1))

    worker = start_worker(tested.write_config("0"))
    until("all events are answered", lambda: Group(tested).committed() == COUNT, worker)
    assert worker.terminate() == 0

    verdict, _imported = tested.judged()
    assert (verdict.faults, verdict.dead_letters) == ({}, {str(Poison.MODEL_RAISES): COUNT})


def test_a_model_that_breaks_halts_the_worker_and_makes_no_dead_letters(
    tested: Pipeline, start_worker: Start
) -> None:
    send(tested.bootstrap, tested.input, [payment(Framing.NONE, seed=1, amount=23.0)] * PARTITIONS)

    worker = start_worker(tested.write_config("0"))

    assert worker.wait() == 1
    assert "ModelFailed: the model fails on golden rows too" in worker.output()
    assert Group(tested).committed() == 0
    assert read_all(tested.bootstrap, tested.dead_letters) == []
    assert tested.answered() == []


def test_at_least_once_misses_nothing_and_may_double_what_was_in_flight(
    tested: Pipeline, start_worker: Start
) -> None:
    count = 10_000
    group = Group(tested)
    send(tested.bootstrap, tested.input, generate(count, Framing.NONE, seed=7))
    config = tested.write_config(
        "0", delivery={"guarantee": "at_least_once"}, worker={"max_batch_records": 500}
    )

    worker = start_worker(config)
    until("something is answered", lambda: group.committed() > 0, worker)
    worker.kill()
    worker = start_worker(config)
    until("all events are answered", lambda: group.committed() == count, worker)
    assert worker.terminate() == 0

    verdict, _imported = tested.judged()
    assert verdict.faults.keys() <= {"doubled", "wrong order"}, verdict.examples


def test_topics_that_take_small_records_only_are_written_all_the_same(
    tested: Pipeline, topics: Topics, start_worker: Start
) -> None:
    limit = {"max.message.bytes": "20000"}
    small = replace(
        tested,
        predictions=topics("payments.small", config=limit),
        dead_letters=topics("dlq.small", partitions=2, config=limit),
    )
    group = Group(small)
    events = generate(5_000, Framing.NONE, seed=8)
    large = Event(b"large", (events[0].value or b"") + bytes(50_000), [("tag", b"a")], Poison.TRAILING_BYTES)
    send(small.bootstrap, small.input, [*events, large])

    worker = start_worker(small.write_config("0"))
    until("all events are answered", lambda: group.committed() == len(events) + 1, worker)
    assert worker.terminate() == 0

    letters = read_all(small.bootstrap, small.dead_letters)
    assert len(small.answered()) + len(letters) == len(events) + 1
    [by_reference] = [letter for letter in letters if letter.key == b"large"]
    assert by_reference.value is None
    assert dict(by_reference.headers)["streaminfer.value.omitted"] == str(len(large.value or b"")).encode()


def test_a_dead_letter_may_be_as_large_as_its_topic_takes(tested: Pipeline, start_worker: Start) -> None:
    # Above librdkafka's own limit of 1,000,000 and below the topic's.
    group = Group(tested)
    [event] = poisoned(1, Poison.TRAILING_BYTES, Framing.NONE, seed=1)
    large = replace(event, value=(event.value or b"") + bytes(1_020_000))
    send(tested.bootstrap, tested.input, [large])

    worker = start_worker(tested.write_config("0"))
    until("the event is answered", lambda: group.committed() == 1, worker)
    assert worker.terminate() == 0

    [letter] = read_all(tested.bootstrap, tested.dead_letters)
    assert letter.value == large.value


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_busy_port_ends_run_with_exit_code_2(tested: Pipeline, start_worker: Start, busy_port: int) -> None:
    worker = start_worker(tested.write_config("0", http={"port": busy_port}))

    assert worker.wait() == 2
    assert f"http.port = {busy_port}" in worker.output()
    assert Group(tested).members() == {}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_worker_that_is_asked_to_leave_does(
    tested: Pipeline, events: list[Event], start_worker: Start, number: signal.Signals, code: int
) -> None:
    group = Group(tested)
    send(tested.bootstrap, tested.input, events)
    worker = start_worker(tested.write_config("0"))
    until("all events are answered", lambda: group.committed() == COUNT, worker)

    worker.send_signal(number)

    assert worker.wait(within_s=10) == code
    assert tested.uncommitted() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_worker_leaves_at_once_while_it_asks_a_broker_that_does_not_answer(
    tested: Pipeline, start_worker: Start, number: signal.Signals, code: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = tested.write_config("0", bootstrap=f"127.0.0.1:{silent.getsockname()[1]}")
        worker = start_worker(config)
        silent.settimeout(WITHIN_S)
        connection, _address = silent.accept()
        with connection:
            worker.send_signal(number)

            assert worker.wait(within_s=10) == code
