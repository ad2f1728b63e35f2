"""Limits of memory, network and life that the child of a rehearsal sets on itself before it opens a package.

They cannot be taken back, so no other process may set them. They keep a broken package from harming the
machine. They are no sandbox: malicious code can call C, start a program or undo all of this. Whether to trust
the author of a package is decided before.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import os
import re
import signal
import sys
from pathlib import Path

from stream_infer.common.foreign_code import error_text

if sys.platform != "win32":
    import resource

_STATUS = Path("/proc/self/status")
_SCHEDULE = Path("/proc/thread-self/schedstat")
_OOM_SCORE = Path("/proc/self/oom_score_adj")
_PR_SET_PDEATHSIG = 1
# Thread stacks and arenas of allocators reserve address space that is never used.
_UNUSED_BYTES = 512 * 2**20

# The words by which the C library (also for threads and shared libraries), C++, PyTorch and ONNX Runtime tell
# that they got no memory. Static TLS is another matter: no limit of memory has a part in it.
_NO_MEMORY = re.compile(
    r"failed to map segment|cannot map zero-fill|can't start new thread|bad.?alloc"
    r"|(can(no|')t|failed to|unable to) allocate(?!.*static TLS)",
    re.IGNORECASE,
)

_NETWORK = frozenset({
    "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname",
    "socket.getnameinfo", "socket.sendmsg", "socket.sendto",
})  # fmt: skip


def refuse_network() -> list[str]:
    """Let every use of a socket by Python code raise `PermissionError`; return the list of attempts.

    An audit hook: it sees Python's `socket` module, but neither C code that calls the system by itself nor
    programs that are started.
    """
    tried: list[str] = []

    def hook(event: str, _arguments: object) -> None:
        if event in _NETWORK:
            tried.append(event)
            raise PermissionError(f"{event}: a rehearsal has no network")

    sys.addaudithook(hook)
    return tried


def end_within(seconds: float) -> None:
    """End this process after `seconds`, even when its parent is gone and no Python code gets to run."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)


def end_with(parent: int) -> None:
    """Let the kernel kill this process when the process `parent`, which started it, ends (Linux).

    Elsewhere `end_within` is the bound. The kernel takes the thread that started this process for its parent.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def limit_memory(more_bytes: int) -> None:
    """Let allocations fail beyond `more_bytes` from now on, where the platform has such a limit (Linux).

    The kernel's out-of-memory killer is told to take this process before any other.
    """
    used = _status_bytes("VmSize")
    if used is None or sys.platform == "win32":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_within(used + more_bytes + _UNUSED_BYTES, hard), hard))
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text("1000", "ascii")


def failed_allocation(error: BaseException | None) -> BaseException | None:
    """Return the first of the errors that led to `error` which tells that there was no more memory, or None.

    An import says so too: the shared libraries of a module are mapped into memory.
    """
    found = None
    while error is not None:
        told = isinstance(error, Exception) and _NO_MEMORY.search(error_text(error)) is not None
        if told or isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            found = error
        error = error.__cause__ or error.__context__
    return found


def unlimit_memory() -> None:
    """Raise the limit again, so that the report can be written."""
    if sys.platform != "win32":
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def peak_bytes() -> int | None:
    """Return the peak resident memory of this process; None where the platform does not tell.

    On Linux without the pages of files that are mapped now: a forked child has its parent's libraries, but
    each page of them counts once the child touches it. Not `ru_maxrss` there: that begins at the parent's
    memory when it started this process.
    """
    if sys.platform == "win32":
        return None
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = _status_bytes("VmHWM")
    return None if peak is None else peak - (_status_bytes("RssFile") or 0)


def queued_s(schedule: Path = _SCHEDULE) -> float:
    """Return how many seconds this thread has waited for a processor; 0 where the platform does not tell."""
    try:
        return int(schedule.read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _within(limit: int, hard: int) -> int:
    return limit if sys.platform == "win32" or hard == resource.RLIM_INFINITY else min(limit, hard)


def _status_bytes(key: str) -> int | None:
    """Return the value of `key` in `/proc/self/status`, which has kB, in bytes."""
    try:
        lines = _STATUS.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)
