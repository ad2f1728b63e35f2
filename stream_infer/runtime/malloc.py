"""Keeps the memory that a batch has freed in the process: the next batch needs as much."""

from __future__ import annotations

import ctypes
import sys

# glibc's <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 * 2**20
_OF_ITS_OWN_BYTES = 32 * 2**20  # the most that glibc takes


def keep_freed_memory() -> bool:
    """Let the C library keep up to 256 MiB that is free; return whether it does.

    By default glibc gives the arrays of a batch back to the kernel when they are freed, and the next batch
    has every page cleared again. False where the C library is another one (musl, macOS, Windows).
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _OF_ITS_OWN_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))
