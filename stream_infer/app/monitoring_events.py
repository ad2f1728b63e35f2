"""Reads the monitoring topic outside of any group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import HEAD_SIZE, MAGIC, Framing, head
from stream_infer.avro.record import RecordReader
from stream_infer.common.clock import to_unix_ms
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import BrokerUnreachable, Misconfigured, Problem
from stream_infer.kafka import client
from stream_infer.kafka.standalone_reader import Tail, tail

_ASK_S = 10.0
_WAIT_S = 0.5

_MARKED = (Framing.SINGLE_OBJECT, Framing.CONFLUENT)

Event = Mapping[str, Any]
"""The fields of `MonitoringEvent.avsc`, with times in Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: those at or after `since_ms`, of one of `types`; without types, of all."""

    since_ms: int = 0
    types: frozenset[str] = frozenset()

    def has(self, event: Event) -> bool:
        """Return whether `event` is one of them."""
        return event["time"] >= self.since_ms and (not self.types or event["type"] in self.types)


def read_events(settings: Settings, wanted: EventFilter) -> Iterator[Event | None]:
    """Yield the matching events of the topic now, in the order of their time; None for an unreadable record.

    Raises `BrokerUnreachable` or another `Fatal`, and `Misconfigured` where no monitoring topic is named.
    """
    with tail(_config(settings), _topic(settings), within_s=_ASK_S) as reading:
        yield from _there(reading, wanted)


def follow_events(settings: Settings, wanted: EventFilter) -> Iterator[Event | None]:
    """Yield the matching events of the topic, then new ones as they arrive."""
    with tail(_config(settings), _topic(settings), within_s=_ASK_S) as reading:
        yield from _there(reading, wanted)
        while True:
            yield from _read(reading, wanted)


def parse_event(value: bytes) -> Event | None:
    """Return the event in a record's value; None when it is none that this version can read.

    Which framing it has shows in its first bytes: an event without one begins with the length of its id,
    which is neither 0 nor negative, as the first bytes of the other two would have it.
    """
    schema = topic_schemas.topic_schema("MonitoringEvent")
    framing = next((f for f in _MARKED if value.startswith(MAGIC[f])), Framing.NONE)
    if framing is Framing.SINGLE_OBJECT and not value.startswith(head(framing, schema)):
        return None
    try:
        record = RecordReader(schema, Framing.NONE).read(value[HEAD_SIZE[framing] :])
    except ValueError:
        return None
    return {**record, "time": to_unix_ms(record["time"])}


def _there(reading: Tail, wanted: EventFilter) -> list[Event | None]:
    """Return the events up to the end of the topic, in the order of their time."""
    found: list[Event | None] = []
    silent_since = time.monotonic()
    while not reading.caught_up:
        came = _read(reading, wanted)
        found += came
        if came:
            silent_since = time.monotonic()
        elif time.monotonic() - silent_since > _ASK_S:
            raise BrokerUnreachable(f"the monitoring topic was not read to its end: {_ASK_S:g} s of silence")
    return sorted(found, key=lambda event: event["time"] if event else 0)


def _read(reading: Tail, wanted: EventFilter) -> list[Event | None]:
    values = [entry.value for entry in reading.read(_WAIT_S) if entry.value is not None]
    return [event for value in values if (event := parse_event(value)) is None or wanted.has(event)]


def _topic(settings: Settings) -> str:
    if settings.monitoring.topic is None:
        fix = f'name it, for example "{settings.pipeline}.monitoring.v1"'
        raise Misconfigured([Problem("monitoring.topic", "", "there is no monitoring topic", fix)])
    return settings.monitoring.topic


def _config(settings: Settings) -> dict[str, object]:
    return {**client.admin(settings.kafka), "logger": client.SILENT}
