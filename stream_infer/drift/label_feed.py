"""How long labels usually stay away, by their record times."""

from __future__ import annotations

from collections.abc import Sequence

_KEPT = 20
_NOTABLE_MS = 10_000


class LabelFeed:
    """The last gaps of 10 s and more between labels, of all partitions together."""

    def __init__(self, newest_ms: int = 0, gaps: Sequence[int] = ()) -> None:
        self._newest_ms = newest_ms
        self._gaps = list(gaps)
        self.count = 0
        """The number of labels that this process has read."""

    @property
    def has_begun(self) -> bool:
        """Whether there was a label at all."""
        return bool(self._newest_ms)

    @property
    def longest_gap_ms(self) -> int:
        """The longest of the last notable gaps; 0 while there was none."""
        return max(self._gaps, default=0)

    def observe(self, time_ms: int) -> None:
        """Take note of the record time of a label."""
        gap = time_ms - self._newest_ms
        if self._newest_ms and gap >= _NOTABLE_MS:
            self._gaps = [*self._gaps[-_KEPT + 1 :], gap]
        self.count += 1
        self._newest_ms = max(self._newest_ms, time_ms)

    def to_document(self) -> Sequence[object]:
        """Return the state as JSON values."""
        return [self._newest_ms, self._gaps]
