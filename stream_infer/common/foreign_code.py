"""Code of others, which may raise anything, and Ctrl-C, which must stop a command all the same."""

from __future__ import annotations

import signal

_LONGEST_TEXT = 1_000


def raise_interrupt(error: BaseException) -> None:
    """Raise `error` again where it may be the user's Ctrl-C and not an error of the code that raised it.

    A role that handles signals itself gets no `KeyboardInterrupt` of its user.
    """
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        raise error


def error_text(error: BaseException) -> str:
    """Return class and text of `error` in at most 1,000 characters, also where its own `str()` raises."""
    name = type(error).__name__
    try:
        text = f"{name}: {error}"
    except BaseException as another:  # noqa: BLE001 - code of others too
        raise_interrupt(another)
        text = f"{name} (its text cannot be had: {type(another).__name__})"
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
