"""Publishes an event when a group begins, and when offsets are lost: nothing is skipped in silence.

It is written beside the stream, by a producer that lives as long as the event: there may be no batch that
could carry it, and such an event is rare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stream_infer.app.kit.member import GroupMember
from stream_infer.avro.record import RecordWriter
from stream_infer.common.clock import unix_ms
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType
from stream_infer.flow.events import Event, GroupBegun, OffsetsLost
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Partition
from stream_infer.kafka.best_effort import BestEffortPublisher
from stream_infer.steps import cloudevents


class OffsetReporter:
    """An observer that writes each `GroupBegun` and `OffsetsLost` to `events_topic` as a monitoring event.

    `open_publisher` returns a new publisher; `events` makes the writer of events.
    """

    def __init__(
        self,
        open_publisher: Callable[[], BestEffortPublisher],
        *,
        pipeline: str,
        instance: str,
        events_topic: str,
        events: Callable[[], RecordWriter],
        now_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._open_publisher = open_publisher
        self._pipeline = pipeline
        self._instance = instance
        self._events_topic = events_topic
        self._events = events
        self._now_ms = now_ms

    def __call__(self, event: Event, /) -> None:
        match event:
            case OffsetsLost():
                why = sorted({f"{p.topic}/{p.index}: {reason}" for p, reason in event.reasons.items()})
                goes_on = "waits for a decision" if event.waits else "goes on at the earliest records"
                summary = f"{self._instance} {goes_on}: {'; '.join(why)}"
                self._publish(EventType.OFFSETS_LOST, "warning", summary, event.offsets)
            case GroupBegun():
                places = [f"{p.topic}/{p.index} at {offset}" for p, offset in sorted(event.offsets.items())]
                summary = f"the group had no offsets and begins: {', '.join(places)}"
                self._publish(EventType.GROUP_BEGUN, "info", summary, event.offsets)

    def _publish(
        self, kind: EventType, severity: str, summary: str, offsets: Mapping[Partition, int]
    ) -> None:
        now_ms, places = self._now_ms(), sorted(offsets.items())
        first, source = places[0][0], f"{self._pipeline}/{self._instance}"
        record = {
            "id": f"{source}/{kind}/{first.topic}/{first.index}/{now_ms}",
            "type": kind,
            "severity": severity,
            "time": now_ms,
            "pipeline": self._pipeline,
            "summary": summary,
            "instance": self._instance,
            "ranges": [
                {"topic": p.topic, "partition": p.index, "first_offset": offset, "last_offset": None}
                for p, offset in places
            ],
        }
        headers = cloudevents.headers(str(record["id"]), kind, f"/stream-infer/{source}", now_ms)
        publisher = self._open_publisher()
        publisher.open()
        key = f"{self._pipeline}/input".encode()
        publisher.post(self._events_topic, key, self._events().write(record), headers)
        publisher.close()


def offset_reporters(
    settings: Settings, member: GroupMember, events: Callable[[], RecordWriter]
) -> Sequence[Observer]:
    """Return the offset reporter of `member`; none where nothing is monitored."""
    if settings.monitoring.topic is None:
        return ()
    return (
        OffsetReporter(
            lambda: member.best_effort_publisher("offsets"),
            pipeline=settings.pipeline,
            instance=member.slot,
            events_topic=settings.monitoring.topic,
            events=events,
        ),
    )
