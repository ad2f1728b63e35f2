"""Monitors and scorers are killed: the same frames give the same events, the same input the same windows."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from benchmarks.drift_streams import Stream, frames, reference, shift
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing as Frames
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.common.clock import unix_ms
from stream_infer.drift.frames import ObservationFrame
from stream_infer.flow.records import Channel, Partition
from stream_infer.steps.monitoring.monitor import MonitorSettings, MonitorStep, RecordCodec
from stream_infer.steps.observing.frame_record import frame_columns, from_record
from stream_infer.testing.memory import MemoryLog, MemorySource, StoredRecord
from tests.conftest import Topics
from tests.support.broker import Route
from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.proxy import Api, Proxy
from tests.support.watched import Watched, by_window, watch
from tests.support.worker_process import Group, Worker, until

STREAM = Stream(
    64_000, 7, (shift("normal_0", 1.0),), start=32_000, stop=46_000, burst=(22_500, 23_100), batch=500
)
KILLS = 6
FRAMES = topic_schemas.topic_schema("ObservationFrame")
EVENTS = topic_schemas.topic_schema("MonitoringEvent")
READER = RecordReader(FRAMES, Frames.NONE)
WITHIN_S = 60.0
COUNT = 40_000


def test_the_same_frames_give_the_same_events_however_often_the_monitor_is_killed(
    route: Route, proxy: Proxy, pipeline: Callable[[Framing], Pipeline], topics: Topics
) -> None:
    watched = watch(pipeline(Framing.NONE), topics)
    log = frame_log(watched.line.name)
    config = watched.config("m", http={"port": 0}, kafka={"bootstrap.servers": route.bootstrap})
    size = math.ceil(len(log) / KILLS)

    for number in range(KILLS):
        append(watched, log[number * size : (number + 1) * size])
        # Killed in turn with a transaction that is about to be committed, and with one that just was.
        if number % 2 == 0:
            held = proxy.hold(Api.END_TXN)
            killed(config, "the monitor is about to commit", held.is_caught)
            held.drop()
        else:
            told = records(log[: (number + 1) * size])
            killed(config, "it has seen all that is there", lambda: watched.remembered() == told)  # noqa: B023 - used at once
    # What the clock of the monitor tells, a heartbeat at each start, is no event of the frames.
    begun, *told = [event for event in watched.events() if "clock" not in event["attributes"]]
    assert begun["type"] == "group.begun"
    assert told == undisturbed(watched, log)
    assert [(event["type"], event["drift"]["feature"]) for event in watched.drifts()] == [
        ("quality", "normal_3"),
        ("quality", "normal_3"),
        ("drift.detected", "normal_0"),
        ("drift.resolved", "normal_0"),
    ]


def test_kills_and_rebalances_of_scorers_change_no_window(
    route: Route,
    proxy: Proxy,
    pipeline: Callable[[Framing], Pipeline],
    topics: Topics,
    start_worker: Callable[[Path], Worker],
) -> None:
    disturbed = watch(pipeline(Framing.NONE), topics)
    line = replace(
        disturbed.line,
        name=f"{disturbed.line.name}.calm",
        predictions=topics("payments.predictions"),
        dead_letters=topics("dlq.payments", 2),
    )
    calm = watch(line, topics)
    group, other = Group(disturbed.line), Group(calm.line)
    events = generate(COUNT, Framing.NONE, seed=5)
    send(line.bootstrap, line.input, events[: COUNT // 2])
    small = {"max_batch_records": 1_500}

    config = disturbed.config(
        "0", http={"port": 0}, worker=small, kafka={"bootstrap.servers": route.bootstrap}
    )
    for commits in (1, 2):
        held = proxy.hold(Api.END_TXN, skip=commits)
        worker = start_worker(config)
        until("the worker is about to commit", held.is_caught, worker, within_s=WITHIN_S)
        assert worker.kill() == -signal.SIGKILL
        held.drop()
    first = start_worker(config)
    second = start_worker(disturbed.config("1", http={"port": 0}, worker=small))
    until("both have partitions", lambda: len([n for n in group.members().values() if n]) == 2, first, second)
    send(line.bootstrap, line.input, events[COUNT // 2 :])
    assert second.terminate() == 0
    until("all is answered", lambda: group.committed() == COUNT, first, within_s=WITHIN_S)
    alone = start_worker(calm.config("alone", http={"port": 0}))
    until("all is answered again", lambda: other.committed() == COUNT, alone, within_s=WITHIN_S)

    assert_alike(by_window(disturbed.frames()), by_window(calm.frames()))
    assert cuts(disturbed.frames()) != cuts(calm.frames())
    assert sum(frame.records for frame in disturbed.frames()) == COUNT


def killed(config: Path, what: str, reached: Callable[[], bool]) -> None:
    """Start a monitor and kill it when `reached`."""
    monitor = Worker(config, "--role", "monitor")
    try:
        until(what, reached, monitor, within_s=WITHIN_S)
    finally:
        assert monitor.kill() == -signal.SIGKILL


def cuts(seen: Sequence[ObservationFrame]) -> set[tuple[Partition, int, int]]:
    """Return what each frame covers."""
    return {(frame.source, frame.first_offset, frame.last_offset) for frame in seen}


def frame_log(pipeline: str) -> list[StoredRecord]:
    """Return the frames of the stream as a scorer would have written them."""
    seen = list(frames(STREAM, known=reference()))
    values = Encoder(FRAMES, Frames.NONE).encode(frame_columns(pipeline, seen))
    return [
        StoredRecord(value, timestamp_ms=frame.last_time_ms)
        for value, frame in zip(values, seen, strict=True)
    ]


def records(log: Sequence[StoredRecord]) -> int:
    """Return how many input records the frames tell of."""
    return sum(from_record(READER.read(one.value or b"")).records for one in log)


def append(watched: Watched, log: Sequence[StoredRecord]) -> None:
    producer = Producer({"bootstrap.servers": watched.line.bootstrap})
    for record in log:
        producer.produce(watched.observations, record.value, timestamp=record.timestamp_ms)
    assert producer.flush(30) == 0


def undisturbed(watched: Watched, log: Sequence[StoredRecord]) -> list[dict[str, Any]]:
    """Return the events of a monitor that reads the log in one go; it finds no reference for the model."""
    step = MonitorStep(
        MonitorSettings(watched.line.name, watched.observations),
        lambda _: None,
        RecordCodec(READER, RecordWriter(EVENTS, Frames.NONE)),
    )
    source = MemorySource(MemoryLog({Partition(watched.observations, 0): log}), received_ms=unix_ms())
    batch = source.read(len(log), 0.0)
    assert batch is not None
    reader = RecordReader(EVENTS, Frames.NONE)
    outputs = [one for one in step(batch).outputs if one.channel is Channel.EVENTS]
    return [reader.read(value or b"") for output in outputs for value in output.values]


def assert_alike(some: dict[Any, ObservationFrame], others: dict[Any, ObservationFrame]) -> None:
    """Check that windows are equal, but for the last bits of sums in another order, and of scores.

    A linear model's score has other last bits in a batch of another size.
    """
    assert some.keys() == others.keys()
    for window, one in some.items():
        other = others[window]
        assert exact(one) == exact(other)
        for a, b in zip(one.signals, other.signals, strict=True):
            for figure in ("mean", "m2", "low", "high"):
                here, there = getattr(a, figure), getattr(b, figure)
                assert math.isclose(here, there, rel_tol=1e-9, abs_tol=1e-9), (window, a.name, figure)


def exact(frame: ObservationFrame) -> object:
    return (
        (frame.digest, frame.first_offset, frame.last_offset, frame.first_time_ms, frame.last_time_ms),
        (frame.records, frame.dead_letters, frame.sampled),
        [(s.name, s.count, s.nulls, s.non_finite, s.bins) for s in frame.signals],
    )
