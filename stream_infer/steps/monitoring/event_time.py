"""The times of monitoring events, for people."""

from __future__ import annotations

from datetime import UTC, datetime


def format_time(unix_ms: int) -> str:
    """Return the time in UTC, to the second; the number itself when no calendar has it."""
    try:
        time = datetime.fromtimestamp(unix_ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):  # a time that Python cannot show
        return f"{unix_ms} ms"
    return time.isoformat(sep=" ", timespec="seconds")
