"""Reads the monitoring topic outside of any group."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType
from stream_infer.flow.errors import BrokerUnreachable, Misconfigured, Problem
from stream_infer.kafka import client
from stream_infer.kafka.standalone_reader import Tail, tail
from stream_infer.steps.monitoring.event_record import Event, event_type_of, parse_event

_ASK_S = 10.0
_WAIT_S = 0.5


ROUTINE = frozenset({EventType.PERFORMANCE, EventType.HEARTBEAT})
"""The types of events that come all the time, whether something is wrong or not."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: those at or after `since_ms`, of one of `types`; without types, of all but `hidden`."""

    since_ms: int = 0
    types: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()

    def has(self, event: Event) -> bool:
        """Return whether `event` is one of them."""
        return bool(event["time"] >= self.since_ms and self.may_have(event["type"]))

    def may_have(self, event_type: str | None) -> bool:
        """Return whether events of a type are among them; None is a type that is not known yet."""
        if event_type is None:
            return True
        return event_type in self.types if self.types else event_type not in self.hidden


def read_events(settings: Settings, wanted: EventFilter) -> Iterator[Event | None]:
    """Yield the matching events of the topic now, in the order of their time; None for an unreadable record.

    Raises `BrokerUnreachable` or another `Fatal`, and `Misconfigured` where no monitoring topic is named.
    """
    with tail(_config(settings), _topic(settings), within_s=_ASK_S) as reading:
        yield from _there(reading, wanted)


def logged_events(settings: Settings, wanted: EventFilter) -> Sequence[Event]:
    """Return the matching events of the topic now, in the order of the log. Raises as `read_events` does."""
    return [event for event, _ in logged_records(settings, wanted)]


def logged_records(settings: Settings, wanted: EventFilter) -> Sequence[tuple[Event, bytes]]:
    """Return the same as `logged_events`, each with the value of its record."""
    with tail(_config(settings), _topic(settings), within_s=_ASK_S) as reading:
        return [(event, value) for event, value in _to_end(reading, wanted) if event is not None]


def follow_events(settings: Settings, wanted: EventFilter) -> Iterator[Event | None]:
    """Yield the matching events of the topic, then new ones as they arrive."""
    with tail(_config(settings), _topic(settings), within_s=_ASK_S) as reading:
        yield from _there(reading, wanted)
        while True:
            yield from (event for event, _ in _read(reading, wanted))


def _there(reading: Tail, wanted: EventFilter) -> list[Event | None]:
    """Return the events up to the end of the topic, in the order of their time."""
    found = [event for event, _ in _to_end(reading, wanted)]
    return sorted(found, key=lambda event: event["time"] if event else 0)


def _to_end(reading: Tail, wanted: EventFilter) -> list[tuple[Event | None, bytes]]:
    """Return the events up to the end of the topic, in the order of the log."""
    found: list[tuple[Event | None, bytes]] = []
    silent_since = time.monotonic()
    while not reading.caught_up:
        came = _read(reading, wanted)
        found += came
        if came:
            silent_since = time.monotonic()
        elif time.monotonic() - silent_since > _ASK_S:
            raise BrokerUnreachable(f"the monitoring topic was not read to its end: {_ASK_S:g} s of silence")
    return found


def _read(reading: Tail, wanted: EventFilter) -> list[tuple[Event | None, bytes]]:
    entries = [entry for entry in reading.read(_WAIT_S) if wanted.may_have(event_type_of(entry.headers))]
    read = [(parse_event(entry.value), entry.value) for entry in entries if entry.value is not None]
    return [(event, value) for event, value in read if event is None or wanted.has(event)]


def _topic(settings: Settings) -> str:
    if settings.monitoring.topic is None:
        fix = f'name it, for example "{settings.pipeline}.monitoring.v1"'
        raise Misconfigured([Problem("monitoring.topic", "", "there is no monitoring topic", fix)])
    return settings.monitoring.topic


def _config(settings: Settings) -> dict[str, object]:
    return {**client.admin(settings.kafka), "logger": client.SILENT}
