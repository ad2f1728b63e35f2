"""What a process takes upon itself before it touches a package that nobody has tried: memory, network, time.

For the child of a rehearsal only: nothing here can be taken back. It keeps a package that is broken from
harming the machine. It is no sandbox: a package that means harm can call C, start a program or undo all of
this, and whether to trust its maker was to be decided before.
"""

from __future__ import annotations

import contextlib
import faulthandler
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

_STATUS = Path("/proc/self/status")
_SCHEDULE = Path("/proc/thread-self/schedstat")
_OOM_SCORE = Path("/proc/self/oom_score_adj")
# Thread stacks and the arenas of allocators are address space that is asked for and never used.
_UNUSED_BYTES = 512 * 2**20

_NETWORK = frozenset({
    "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname",
    "socket.getnameinfo", "socket.sendmsg", "socket.sendto",
})  # fmt: skip


def refuse_network() -> list[str]:
    """Let every use of a socket by Python code raise `PermissionError`; return the list of what was tried.

    An audit hook: it sees Python's `socket` module, and not C code that calls the system on its own, nor
    other programs that are started.
    """
    tried: list[str] = []

    def hook(event: str, _arguments: object) -> None:
        if event in _NETWORK:
            tried.append(event)
            raise PermissionError(f"{event}: there is no network in a rehearsal")

    sys.addaudithook(hook)
    return tried


def end_within(seconds: float) -> None:
    """End this process after `seconds`, even when its parent is gone and no Python code gets to run."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)


def limit_memory(more_bytes: int) -> None:
    """Let allocations beyond `more_bytes` from now on fail, where the platform has such a limit.

    Linux has. Its killer is told, too, to take this process before any other.
    """
    used = _status_bytes("VmSize")
    if used is None or sys.platform == "win32":
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_within(used + more_bytes + _UNUSED_BYTES, hard), hard))
    with contextlib.suppress(OSError):
        _OOM_SCORE.write_text("1000", "ascii")


def unlimit_memory() -> None:
    """Take the limit back, so that what is left to say can be said."""
    if sys.platform != "win32":
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def peak_bytes() -> int | None:
    """Return the most memory that this process ever had resident; None where nobody can tell.

    Not `ru_maxrss` on Linux: that one begins at what the parent had when it started this process.
    """
    if sys.platform == "win32":
        return None
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status_bytes("VmHWM")


def queued_s(schedule: Path = _SCHEDULE) -> float:
    """Return for how long this thread has waited for a processor so far; 0 where nobody can tell."""
    try:
        return int(schedule.read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def _within(wanted: int, hard: int) -> int:
    return wanted if sys.platform == "win32" or hard == resource.RLIM_INFINITY else min(wanted, hard)


def _status_bytes(key: str) -> int | None:
    """Return a line of `/proc/self/status`, which is in kB."""
    try:
        lines = _STATUS.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:")), None)
