"""Libraries that only some models need: what their import or their reading of a file raises is a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stream_infer.common.foreign_code import error_text, raise_interrupt
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused


@contextmanager
def importing(need: str, fix: str) -> Iterator[None]:
    """Import a library in the block; `need` is what needs it.

    Raises `Refused` (`runtime`) with `need` and `fix`, whatever the import raises.
    """
    try:
        yield
    except BaseException as error:
        raise_interrupt(error)
        # An import runs code: a library that does not like its machine may try to end the process.
        text = str(error) if isinstance(error, ImportError) else error_text(error)
        what = f"{need}, which cannot be imported here ({text})"
        raise Refused(RefusalCode.RUNTIME, f"{what}: {fix}") from error


@contextmanager
def reading(title: str) -> Iterator[None]:
    """Raise `Refused` (`load`) with `title` for whatever a library raises that reads a file."""
    try:
        yield
    except Refused:
        raise
    except BaseException as error:
        raise_interrupt(error)
        raise Refused(RefusalCode.LOAD, f"{title}: {error_text(error)}") from error
