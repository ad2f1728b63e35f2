"""Points in time: whole numbers of an Avro field as texts of ISO 8601."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

_MICROSECONDS: Mapping[str, int] = {"millis": 1_000, "micros": 1}
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - the zone is put behind the text
EXAMPLES: Mapping[str, str] = {
    "date": "2026-07-01",
    "time-millis": "12:00:00.000",
    "time-micros": "12:00:00.000",
    "timestamp-millis": "2026-07-01T12:00:00Z",
    "timestamp-micros": "2026-07-01T12:00:00Z",
    "local-timestamp-millis": "2026-07-01T12:00:00",
    "local-timestamp-micros": "2026-07-01T12:00:00",
}
"""Logical type -> a text of it."""


def iso_text(logical: str, value: object) -> object:
    """Return `value`, whole units of the logical type, as text.

    What no text can say without loss is returned as it is: nanoseconds, and years outside of 1 to 9999.
    """
    kind, _, unit = logical.rpartition("-")
    if type(value) is not int or logical not in EXAMPLES:
        return value
    try:
        if logical == "date":
            return (_EPOCH + dt.timedelta(days=value)).date().isoformat()
        instant = _EPOCH + dt.timedelta(microseconds=value * _MICROSECONDS[unit])
    except OverflowError:
        return value
    if kind == "time":
        return instant.time().isoformat()
    return instant.isoformat() + ("" if kind.startswith("local") else "Z")
