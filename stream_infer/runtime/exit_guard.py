"""A process that code of others ends with `os._exit(0)` must not look as if it had stopped in order."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath
from typing import NoReturn

from stream_infer.flow.codes import ExitCode


@contextmanager
def no_exit_in_disguise(told: Callable[[int, str], object]) -> Iterator[None]:
    """While the block runs, `os._exit` calls `told` with status and place, and ends with 1 in place of 0.

    Children that are forked meanwhile end as they like.
    """
    owner, end = os.getpid(), os._exit

    def guarded(status: int) -> NoReturn:
        if os.getpid() == owner:
            with suppress(Exception):  # the process ends in any case
                told(status, _place())
            end(status or ExitCode.FAILURE)
        end(status)

    # A pickle names the function by the module that it is from.
    modules = (os, sys.modules[end.__module__])
    for module in modules:
        setattr(module, end.__name__, guarded)
    try:
        yield
    finally:
        for module in modules:
            setattr(module, end.__name__, end)


def _place() -> str:
    frame = traceback.extract_stack(limit=3)[0]
    return f"{frame.name} ({PurePath(frame.filename).name}:{frame.lineno})"
