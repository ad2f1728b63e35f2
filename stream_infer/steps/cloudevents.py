"""CloudEvents 1.0 in its binary form: the attributes of a monitoring event as headers."""

from __future__ import annotations

from datetime import UTC, datetime

from stream_infer.flow.records import Header


def headers(event_id: str, event_type: str, source: str, time_ms: int) -> tuple[Header, ...]:
    """Return the headers of an event of `event_type` ("drift.detected") that happened at `time_ms`.

    `source` is the producer of the event, as a path; `event_id` is unique within it.
    """
    time = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": source,
        "ce_type": f"io.streaminfer.{event_type}.v1",
        "ce_time": time.replace("+00:00", "Z"),
        "content-type": "application/avro",
    }
    return tuple((name, value.encode()) for name, value in attributes.items())
