"""A monitored pipeline: its monitoring topics and their contents."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka.cimpl import NewTopic

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing as Frames
from stream_infer.avro.record import RecordReader
from stream_infer.drift.frames import ObservationFrame, merge_frames
from stream_infer.steps.observing.frame_record import from_record
from tests.conftest import Topics
from tests.support.clients import admin
from tests.support.log import read_all
from tests.support.pipeline import Pipeline, Section
from tests.support.ports import free_ports
from tests.support.probes import metric_lines, readyz
from tests.support.worker_process import Worker

_ANSWER_WITHIN_S = 20.0
_FRAMES = RecordReader(topic_schemas.topic_schema("ObservationFrame"), Frames.NONE)
_EVENTS = RecordReader(topic_schemas.topic_schema("MonitoringEvent"), Frames.NONE)

Window = tuple[int, int]
"""A source partition and the first offset of a window in it."""


@dataclass(frozen=True, slots=True)
class Watched:
    """`port` is the HTTP port of its only worker; a monitor of the same command has the next one."""

    line: Pipeline
    monitoring: str
    observations: str
    state: str
    port: int

    def config(self, slot: str, **more: Section) -> Path:
        """Write the settings of a worker or a monitor."""
        topics = {
            "topic": self.monitoring,
            "observations_topic": self.observations,
            "state_topic": self.state,
        }
        own: dict[str, Section] = {"monitoring": topics, "http": {"port": self.port}}
        return self.line.write_config(slot, **{**own, **more})

    def ready(self, port: int | None = None) -> Any:
        """Return the document of `/readyz`; empty without an answer."""
        return readyz(port or self.port)

    def metric(self, name: str) -> float:
        """Return the value of a metric that has no labels but the pipeline."""
        [line] = metric_lines(self.port, name)
        return float(line.rpartition(" ")[2])

    def frames(self) -> list[ObservationFrame]:
        """Return the observation frames, in the order of the log."""
        records = read_all(self.line.bootstrap, self.observations)
        return [from_record(_FRAMES.read(record.value or b"")) for record in records]

    def events(self) -> list[dict[str, Any]]:
        """Return the monitoring events, in the order of the log."""
        records = read_all(self.line.bootstrap, self.monitoring)
        return [_EVENTS.read(record.value or b"") for record in records]

    def drifts(self) -> list[dict[str, Any]]:
        """Return the drift and data quality events."""
        return [event for event in self.events() if event["drift"] is not None]

    def remembered(self) -> int:
        """Return the number of input records in the state of the monitor."""
        key = f"{self.line.name}/models".encode()
        values = [r.value for r in read_all(self.line.bootstrap, self.state) if r.key == key]
        return sum(json.loads(values[-1] or b"{}").values()) if values else 0

    def make_again(self, topic: str) -> None:
        """Create a deleted topic again."""
        new = NewTopic(topic, num_partitions=1, replication_factor=1)
        client = admin(self.line.bootstrap)  # the answer comes only while the client lives
        client.create_topics([new])[topic].result(_ANSWER_WITHIN_S)

    def delete(self, topic: str) -> None:
        """Delete a topic."""
        client = admin(self.line.bootstrap)
        client.delete_topics([topic])[topic].result(_ANSWER_WITHIN_S)


def watch(line: Pipeline, topics: Topics) -> Watched:
    """Create the topics of monitoring."""
    return Watched(
        line,
        topics("payments.monitoring", 1),
        topics("payments.observations", 1, {"retention.ms": "-1"}),  # frames of a test may be of long ago
        topics("payments.monitor-state", 1, {"cleanup.policy": "compact"}),
        free_ports(1)[0],
    )


@contextmanager
def everything(config: Path, *options: str) -> Iterator[tuple[Worker, Callable[[], list[psutil.Process]]]]:
    """Run a command that starts child processes; kill all of them at the end of the block."""
    command = Worker(config, *options)
    tree = psutil.Process(command.pid)
    try:
        yield command, tree.children
    finally:
        left = tree.children() if tree.is_running() else []
        command.kill()
        for process in left:
            process.kill()


def by_window(frames: Sequence[ObservationFrame]) -> dict[Window, ObservationFrame]:
    """Return the frames by window, merged."""
    merged: dict[Window, ObservationFrame] = {}
    for frame in frames:
        window = (frame.source.index, frame.window_first_offset)
        merged[window] = merge_frames(merged[window], frame) if window in merged else frame
    return merged
