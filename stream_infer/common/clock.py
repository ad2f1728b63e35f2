"""Wall-clock time in Unix milliseconds, the unit of every stored time."""

from __future__ import annotations

import time
from datetime import datetime


def unix_ms() -> int:
    """Return the time now."""
    return time.time_ns() // 1_000_000


def to_unix_ms(moment: datetime) -> int:
    """Return `moment`, to the nearest millisecond."""
    return round(moment.timestamp() * 1000)
