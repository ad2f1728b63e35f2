"""Logs of frames in memory, read by the monitor's step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from benchmarks.drift_streams import Stream, frames, reference
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.flow.records import Channel, Partition
from stream_infer.runtime.loop import run
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.steps.monitoring.monitor import MonitorSettings, MonitorStep, RecordCodec
from stream_infer.steps.observing.frame_record import frame_columns
from stream_infer.testing.memory import Crashed, Fault, MemoryLog, MemorySink, MemorySource, StoredRecord

PIPELINE = "payments.fraud"
FRAMES = Partition("frames", 0)
EVENTS = RecordReader(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE)


def monitor_step() -> MonitorStep:
    codec = RecordCodec(
        RecordReader(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE),
        RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE),
    )
    return MonitorStep(MonitorSettings(PIPELINE, FRAMES.topic), lambda _: reference(), codec)


@cache
def written(stream: Stream) -> tuple[StoredRecord, ...]:
    encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    seen = list(frames(stream, known=reference()))
    values = encoder.encode(frame_columns(PIPELINE, seen))
    return tuple(
        StoredRecord(value, timestamp_ms=frame.last_time_ms)
        for value, frame in zip(values, seen, strict=True)
    )


def monitored(records: Sequence[StoredRecord], script: Sequence[Fault] = (), *, limit: int = 7) -> MemoryLog:
    """Return the log after monitors, one after the other until each crashes, have read it to the end."""
    log = MemoryLog({FRAMES: records})
    sink = MemorySink(log, script)
    still = iter(range(1_000_000))
    while True:
        monitor = monitor_step()
        monitor.restore(state(log))
        try:
            run(
                MemorySource(log),
                monitor,
                sink,
                stop=Stop(),
                pace=Pace(Pacing(max_records=limit, commit_interval_s=0.0)),
                observe=lambda _: None,
                clock=lambda: float(next(still)) * 100,
            )
        except Crashed:
            continue
        return log


def state(log: MemoryLog) -> dict[str, bytes]:
    """Return the newest value of each key, as a reader of the compacted topic finds it."""
    newest: dict[str, bytes] = {}
    for one in log.visible:
        if one.channel is Channel.STATE:
            key = (one.key or b"").decode().removeprefix(f"{PIPELINE}/")
            newest.pop(key, None)
            if one.value is not None:
                newest[key] = one.value
    return newest


def events(log: MemoryLog) -> list[dict[str, Any]]:
    return [EVENTS.read(v.value or b"") for v in log.visible if v.channel is Channel.EVENTS]


def documents(log: MemoryLog) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in state(log).items()}
