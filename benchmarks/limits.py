"""At most so much processor time for one process, so that a race is not about who gets a core.

Linux control groups of version 1, where this user may make one; anything else is an error that says so.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup/cpu")
_PERIOD_US = 10_000  # a tenth of the usual: who has used up its share waits for milliseconds
_EMPTY_WITHIN_S = 5.0


@contextmanager
def limited(cores: float | None) -> Iterator[Callable[[int], object]]:
    """Hold a group whose processes together get at most `cores` of processor time a second; None: all of it.

    What it yields takes a process in, by its number. They have to end before the block. Raises
    `RuntimeError` where there are no such groups.
    """
    if cores is None:
        yield lambda _pid: None
        return
    group = _GROUPS / f"stream-infer-race-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(int(cores * _PERIOD_US)))
    except OSError as error:
        raise RuntimeError(f"--cores needs control groups of version 1 at {_GROUPS}, and root") from error
    try:
        yield lambda pid: (group / "cgroup.procs").write_text(str(pid))
    finally:
        _remove(group)


def _remove(group: Path) -> None:
    """Remove a group once the kernel has taken the last thread out of it."""
    deadline = time.monotonic() + _EMPTY_WITHIN_S
    while True:
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
