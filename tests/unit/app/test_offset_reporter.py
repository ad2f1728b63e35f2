"""Lost offsets, and the first ones of a group, are one monitoring event each, with the partitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from stream_infer.app.kit.member import GroupMember
from stream_infer.app.kit.records import event_writer
from stream_infer.app.offset_reporter import OffsetReporter, offset_reporters
from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.config.settings import parse_settings
from stream_infer.flow.events import GroupBegun, OffsetsLost, TopicsMissing
from stream_infer.flow.records import Headers, Partition
from stream_infer.kafka.best_effort import BestEffortPublisher

SCHEMA = topic_schemas.topic_schema("MonitoringEvent")
FIRST, SECOND = Partition("events", 0), Partition("events", 1)


class Posting:
    """A publisher that keeps what is posted between `open` and `close`."""

    def __init__(self) -> None:
        self.is_open = False
        self.posted: list[tuple[str, bytes, Any, Headers]] = []

    def open(self) -> None:
        self.is_open = True

    def post(self, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
        assert self.is_open
        self.posted.append((topic, key, RecordReader(SCHEMA, Framing.NONE).read(value), headers))

    def close(self) -> None:
        self.is_open = False


def reporter(publisher: Posting) -> OffsetReporter:
    return OffsetReporter(
        lambda: cast(BestEffortPublisher, publisher),
        pipeline="lab.cells",
        instance="a-0",
        events_topic="lab.cells.monitoring.v1",
        events=lambda: RecordWriter(SCHEMA, Framing.NONE),
        now_ms=lambda: 5_000,
    )


@pytest.mark.parametrize(
    ("waits", "said"), [(True, "waits for a decision"), (False, "goes on at the earliest records")]
)
def test_lost_offsets_are_one_event(*, waits: bool, said: str) -> None:
    publisher = Posting()
    lost = OffsetsLost({SECOND: "lost 5", FIRST: "lost 7"}, {SECOND: 0, FIRST: 2}, waits)

    reporter(publisher)(lost)

    [(topic, key, event, headers)] = publisher.posted
    assert (topic, key, publisher.is_open) == ("lab.cells.monitoring.v1", b"lab.cells/input", False)
    assert event["id"] == "lab.cells/a-0/offsets.lost/events/0/5000"
    assert event["summary"] == f"a-0 {said}: events/0: lost 7; events/1: lost 5"
    assert [(r["partition"], r["first_offset"]) for r in event["ranges"]] == [(0, 2), (1, 0)]
    assert dict(headers)["ce_type"] == b"io.streaminfer.offsets.lost.v1"


def test_a_group_that_begins_is_an_event_with_its_offsets() -> None:
    publisher = Posting()

    reporter(publisher)(GroupBegun({SECOND: 0, FIRST: 2}))

    [(topic, _key, event, headers)] = publisher.posted
    assert (topic, event["severity"]) == ("lab.cells.monitoring.v1", "info")
    assert event["id"] == "lab.cells/a-0/group.begun/events/0/5000"
    assert event["summary"] == "the group had no offsets and begins: events/0 at 2, events/1 at 0"
    assert [(r["partition"], r["first_offset"]) for r in event["ranges"]] == [(0, 2), (1, 0)]
    assert dict(headers)["ce_type"] == b"io.streaminfer.group.begun.v1"


def test_nothing_else_is_an_event() -> None:
    publisher = Posting()
    reporter(publisher)(TopicsMissing(("events",)))

    assert publisher.posted == []


@pytest.mark.parametrize(("topic", "count"), [("lab.cells.monitoring.v1", 1), (None, 0)])
def test_losses_are_reported_where_there_is_a_topic_for_events(
    topic: str | None, count: int, tmp_path: Path
) -> None:
    document = {
        "pipeline": "lab.cells",
        "kafka": {"bootstrap.servers": "localhost:9092"},
        "input": {"topics": ["events"]},
        "model": {"package": "cells-1.0.0"},
        "monitoring": {} if topic is None else {"topic": topic},
    }
    settings = parse_settings(document, {}, folder=tmp_path).settings
    assert settings is not None
    member = GroupMember(settings.kafka, settings.group_id, "a-0")

    assert len(offset_reporters(settings, member, lambda: event_writer(settings, None))) == count
