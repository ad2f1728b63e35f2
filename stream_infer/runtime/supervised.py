"""A process with a supervisor: it leaves when its supervisor has ended, however that ended.

Its standard input is a pipe whose other end only the supervisor holds. The system closes that end with the
supervisor, after SIGKILL too, on every platform. `prctl(PR_SET_PDEATHSIG)` exists on Linux alone, and takes
the thread that started the process for its parent.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from stream_infer.flow.codes import ExitCode
from stream_infer.runtime.stop import Stop

SUPERVISED = "STREAM_INFER_SUPERVISED"
"""The environment variable that tells a process that its standard input is the supervisor's pipe."""

_STDIN = 0
_end_process = os._exit
_LEAVES_WITHIN_S = 1.5


@contextmanager
def leaving_with_supervisor(
    stop: Stop,
    environ: Mapping[str, str],
    orphaned: Callable[[], object],
    *,
    leave_within_s: float = _LEAVES_WITHIN_S,
) -> Iterator[None]:
    """Request `stop` and call `orphaned` when the supervisor ends while the block runs.

    Past `leave_within_s` the process ends with exit code 1: its ports and its slot have to be free for the
    successor, and what was not committed is read again. Without a supervisor nothing happens.
    """
    left = threading.Event()

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(_STDIN, 1):
                pass
        if left.is_set():
            return
        stop.request()
        with contextlib.suppress(Exception):  # the log may have ended with the supervisor
            orphaned()
        if not left.wait(leave_within_s):
            _end_process(ExitCode.FAILURE)

    if SUPERVISED in environ:
        threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
    try:
        yield
    finally:
        left.set()
