"""Exponential backoff, for everything that is tried again."""

from __future__ import annotations

from dataclasses import dataclass

_DOUBLINGS_MOST = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """A pause that doubles with each failure in a row: `first_s`, twice that, ..., at most `most_s`."""

    first_s: float
    most_s: float

    def pause_s(self, failures: int) -> float:
        """Return the seconds to wait after `failures` (>= 1) failures in a row."""
        return min(self.first_s * 2.0 ** min(failures - 1, _DOUBLINGS_MOST), self.most_s)
