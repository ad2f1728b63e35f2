"""Regular files, opened without waiting: a pipe, a device or a folder in their place is an error at once."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# A pipe without a writer would hold the reader for ever. The flags that a platform lacks are 0.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


class UnusableFile(OSError):
    """The path holds something else than a regular file, or more bytes than its reader takes."""


def open_regular(path: str | Path, *, follow_links: bool = True) -> BinaryIO:
    """Open the regular file at `path` to read. Never waits; raises `UnusableFile` or another `OSError`."""
    descriptor = os.open(path, _FLAGS if follow_links else _FLAGS | _NO_LINKS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnusableFile(errno.EINVAL, "is not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular(path: str | Path, *, most_bytes: int) -> bytes:
    """Return the bytes of the regular file at `path`. Raises as `open_regular`, also for a longer file."""
    with open_regular(path) as stream:
        data = stream.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise UnusableFile(errno.EFBIG, f"has more than {most_bytes} bytes", str(path))
    return data
