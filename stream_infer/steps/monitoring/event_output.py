"""Monitoring events as an output: one record each, with the headers of CloudEvents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream_infer.avro.record import RecordWriter
from stream_infer.flow.records import Channel, Headers, Output
from stream_infer.steps import cloudevents


def event_output(pipeline: str, events: Sequence[Mapping[str, object]], writer: RecordWriter) -> Output:
    """Return `events` as an output; all events of one incident have one key."""
    return Output(
        channel=Channel.EVENTS,
        rows=[],
        keys=[f"{pipeline}/{event['incident_id'] or event['type']}".encode() for event in events],
        values=[writer.write(event) for event in events],
        headers=[_headers(pipeline, event) for event in events],
    )


def _headers(pipeline: str, event: Mapping[str, object]) -> Headers | None:
    time_ms = event["time"]
    if not isinstance(time_ms, int):
        raise TypeError("a time is whole milliseconds")
    source = f"/stream-infer/{pipeline}/monitor"
    return cloudevents.headers(str(event["id"]), str(event["type"]), source, time_ms)
