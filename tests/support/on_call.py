"""A monitor in memory whose events come back to it, and a person who says things about its incidents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.drift.monitor import MonitorPolicy
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Partition, Span
from stream_infer.steps.monitoring.event_output import event_output
from stream_infer.steps.monitoring.event_record import parse_event
from stream_infer.steps.monitoring.incident_command import Command, command_event
from stream_infer.steps.monitoring.monitor import MonitorSettings, MonitorStep, RecordCodec
from stream_infer.steps.monitoring.open_incidents import OpenIncident
from stream_infer.steps.observing.frame_record import frame_columns
from tests.support.alarm_streams import PIPELINE, START_MS, Line, codec, frames, reference

OBSERVATIONS, MONITORING = Partition("observations", 0), Partition("monitoring", 0)
_WRITER = RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE)

Saying = Callable[["OnCall"], None]
"""What a person does after so many events."""


@dataclass
class OnCall:
    """A monitor of `line`. `told` has its events, with the number of the event of the stream before each."""

    line: Line
    policy: MonitorPolicy = field(default_factory=MonitorPolicy)
    told: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    state: dict[str, bytes] = field(default_factory=dict)
    at: int = 0

    def __post_init__(self) -> None:
        self._known = reference(self.line.rows, tuple(self.line.columns.items())) if self.line.rows else None
        self._frames, self._events = 0, 0
        self._unread: list[tuple[bytes, int]] = []
        self._given = 0
        self._seen: list[tuple[bytes, int]] = []
        self.written: list[bytes] = []
        self.restart()

    def restart(self) -> None:
        """Begin a new monitor with the state that the one before has committed."""
        self.step = self.new_step()
        self.step.restore(self.state)

    def new_step(self) -> MonitorStep:
        """Return a monitor that knows nothing."""
        settings = MonitorSettings(PIPELINE, OBSERVATIONS.topic, self.policy, events=MONITORING.topic)
        codecs: RecordCodec = codec()
        return MonitorStep(settings, lambda _: self._known, codecs)

    @property
    def observed(self) -> Batch:
        """All observations so far, as one batch."""
        whole = self.batch(OBSERVATIONS, 0, [value for value, _ in self._seen])
        return replace(whole, timestamp_ms=[time_ms for _, time_ms in self._seen], positions={})

    def run(self, sayings: Mapping[int, Saying] | None = None) -> None:
        """Let the stream run to its end; a person says what is to be said after so many events."""
        left = dict(sayings or {})
        encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
        for at, seen in frames(self.line, self._known):
            self.at = at
            values = list(encoder.encode(frame_columns(PIPELINE, seen)))
            self._seen += [(value, self.now_ms) for value in values]
            self._take(self.batch(OBSERVATIONS, self._frames, values))
            self._frames += len(values)
            self.read_back()
            for due in [number for number in left if number <= at]:
                left.pop(due)(self)
                self.read_back()

    def say(self, action: str, incident_id: str | None = None, *, lasting_ms: int | None = None) -> None:
        """Write a command, about the newest open incident where none is named."""
        self._given += 1
        about = incident_id or self.open[0].id
        until = None if lasting_ms is None else self.now_ms + lasting_ms
        command = Command(f"command-{self._given}", about, action, "ann", "known", self.now_ms, until)
        value = event_output(PIPELINE, [command_event(PIPELINE, command, "it")], _WRITER).values[0]
        self._unread.append((value or b"", self.now_ms))

    def read_back(self) -> None:
        """Let the monitor read what was written to the monitoring topic."""
        while self._unread:
            unread, self._unread = self._unread, []
            self.written += [value for value, _ in unread]
            self._take(self.batch(MONITORING, self._events, [value for value, _ in unread]))
            self._events += len(unread)

    @property
    def now_ms(self) -> int:
        """The time of the stream."""
        return START_MS + self.at * self.line.every_ms

    @property
    def open(self) -> Sequence[OpenIncident]:
        """The open incidents, the newest first."""
        return self.step.desk.known.newest_first

    def told_as(self, state: str, after: int = 0) -> list[Mapping[str, Any]]:
        """Return the events of a state, told after so many events."""
        return [one for at, one in self.told if at > after and one["attributes"].get("state") == state]

    def _take(self, batch: Batch) -> None:
        outcome = self.step(batch)
        self._keep(outcome)

    def _keep(self, outcome: Outcome) -> None:
        for output in outcome.outputs:
            if output.channel is Channel.STATE:
                for key, value in zip(output.keys, output.values, strict=True):
                    name = (key or b"").decode().removeprefix(f"{PIPELINE}/")
                    self.state.pop(name, None)
                    if value is not None:
                        self.state[name] = value
            if output.channel is Channel.EVENTS:
                for value in output.values:
                    event = parse_event(value or b"")
                    assert event is not None
                    self.told.append((self.at, event))
                    self._unread.append((value or b"", self.now_ms))

    def batch(self, partition: Partition, first: int, values: Sequence[bytes]) -> Batch:
        count = len(values)
        return Batch(
            cursor=Cursor({partition: Span(first, first + count)}),
            partitions=[partition],
            partition=[0] * count,
            offset=list(range(first, first + count)),
            timestamp_ms=[self.now_ms] * count,
            keys=[None] * count,
            values=list(values),
            headers=[None] * count,
            received_ms=self.now_ms,
            positions={OBSERVATIONS: self._frames, MONITORING: self._events},
            ended={OBSERVATIONS, MONITORING},
        )
