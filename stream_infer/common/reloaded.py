"""What files say that others replace while this process runs, such as certificates and tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
_Stamp: TypeAlias = Sequence[tuple[int, int, int] | None]

_LOOK_EVERY_S = 1.0


class Reloaded(Generic[T]):
    """The value that `read` makes of the files at `paths`, made anew when one of them has changed.

    The files are looked at once a second at most. While `read` raises `ValueError` or `OSError`, the value
    from before stays; `report` is told of each change, with the error or None. The first error is raised.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        read: Callable[[], T],
        report: Callable[[Exception | None], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = paths
        self._read = read
        self._report = report
        self._clock = clock
        self._looked_at = clock()
        self._stamp = self._stamp_now()
        self._value = read()

    def newest(self) -> T:
        """Return the value of the files as they are now."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            stamp = self._stamp_now()
            if stamp != self._stamp:
                self._stamp = stamp
                self._reload()
        return self._value

    def _reload(self) -> None:
        try:
            self._value = self._read()
        except (ValueError, OSError) as error:
            self._report(error)
        else:
            self._report(None)

    def _stamp_now(self) -> _Stamp:
        return [_stamp_of(path) for path in self._paths]


def _stamp_of(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written or replaced; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
