"""Replays observation frames of the log, and returns the events that today's configuration would raise.

Joins no group and writes nothing. Begins as a new monitor begins, with nothing learned before the range.
Commands of people are replayed where the monitor took them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_infer.app.kit.records import frame_reader
from stream_infer.app.monitor import monitor_policy
from stream_infer.app.monitoring_events import EventFilter, logged_records
from stream_infer.app.package_references import PackagedReferences
from stream_infer.app.replayed_commands import ReplayedTopic, placed_commands
from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.flow.records import Channel, Outcome
from stream_infer.kafka import client
from stream_infer.kafka.ranges import RangeBound, read_range
from stream_infer.steps.monitoring.event_record import Event, parse_event
from stream_infer.steps.monitoring.monitor import MonitorSettings, MonitorStep, RecordCodec


@dataclass(frozen=True, slots=True)
class Backtest:
    """The replayed frames and their events. `unreadable` counts the frames that could not be read."""

    frames: int
    records: int
    unreadable: int
    events: Sequence[Event]

    @property
    def incidents(self) -> int:
        """How many incidents were opened."""
        return sum(1 for event in self.events if event["attributes"].get("state") == "open")


def run_backtest(settings: Settings, first: RangeBound, last: RangeBound) -> Backtest:
    """Replay the observations from `first` to before `last`.

    Raises `Misconfigured` where nothing is monitored, `BrokerUnreachable` or another `Fatal`.
    """
    monitoring = settings.monitoring
    if monitoring.topic is None:
        fix = f'name it, for example "{settings.pipeline}.monitoring.v1"'
        raise Misconfigured([Problem("monitoring.topic", "", "there is no monitoring topic", fix)])
    step = MonitorStep(
        MonitorSettings(
            settings.pipeline,
            monitoring.observations_topic,
            monitor_policy(settings),
            events=monitoring.topic,
        ),
        PackagedReferences(settings),
        RecordCodec(
            frame_reader(), RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE)
        ),
    )
    config = {**client.admin(settings.kafka), "logger": client.SILENT}
    frames = unreadable = 0
    events: list[Event] = []
    said = EventFilter(types=frozenset({EventType.INCIDENT_COMMAND, EventType.INCIDENT_REPLY}))
    topic = ReplayedTopic(monitoring.topic, placed_commands(logged_records(settings, said)))
    for read in read_range(config, monitoring.observations_topic, first, last):
        for batch in topic.parts(read):
            outcome = step(batch)
            topic.take(outcome)
            unreadable += len(outcome.rejected)
            events += _events(outcome)
        frames += len(read)
    return Backtest(frames, step.records, unreadable, events)


def as_document(done: Backtest) -> Mapping[str, object]:
    """Return the whole of a backtest as JSON values."""
    return {
        "frames": done.frames,
        "records": done.records,
        "unreadable": done.unreadable,
        "incidents": done.incidents,
        "events": list(done.events),
    }


def _events(outcome: Outcome) -> list[Event]:
    values = [v for out in outcome.outputs if out.channel is Channel.EVENTS for v in out.values]
    read = [parse_event(value) for value in values if value is not None]
    return [one for one in read if one is not None and one["type"] != EventType.INCIDENT_REPLY]
