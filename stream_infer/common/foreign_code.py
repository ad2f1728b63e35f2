"""Code of others, which may raise anything, and Ctrl-C, which must stop a command all the same."""

from __future__ import annotations

import signal


def raise_interrupt(error: BaseException) -> None:
    """Raise `error` again where it may be the user's Ctrl-C and not an error of the code that raised it.

    A role that handles signals itself gets no `KeyboardInterrupt` of its user.
    """
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        raise error
