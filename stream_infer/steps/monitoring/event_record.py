"""A monitoring event from the value of its record, whatever its framing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import HEAD_SIZE, MAGIC, Framing, head
from stream_infer.avro.record import RecordReader
from stream_infer.flow.records import Headers

_TYPE = re.compile(r"io\.streaminfer\.(.+)\.v\d+")
_MARKED = (Framing.SINGLE_OBJECT, Framing.CONFLUENT)

Event = Mapping[str, Any]
"""The fields of `MonitoringEvent.avsc`, with times in Unix milliseconds."""


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
        record = _reader().read(value[HEAD_SIZE[framing] :])
    except ValueError:
        return None
    return {**record, "time": round(record["time"].timestamp() * 1000)}


def event_type_of(headers: Headers | None) -> str | None:
    """Return the type that the headers of a record tell, None where they tell none."""
    told = dict(headers or ()).get("ce_type")
    matched = None if told is None else _TYPE.fullmatch(told.decode(errors="replace"))
    return None if matched is None else matched[1]


@cache
def _reader() -> RecordReader:
    return RecordReader(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE)
