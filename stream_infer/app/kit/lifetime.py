"""The frame of a long-running role: prepare, then work until a signal, and leave in time."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TypeVar

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.ops import logs
from stream_infer.runtime.exit_guard import no_exit_in_disguise
from stream_infer.runtime.stop import Stop, leaving_within, on_signals
from stream_infer.runtime.supervised import leaving_with_supervisor

_LOG = logging.getLogger("stream_infer")
_LEAVE_WITHIN_S = 10.0
_Prepared = TypeVar("_Prepared")


def run_until_signal(
    prepare: Callable[[], _Prepared],
    work: Callable[[_Prepared, Stop], object],
    *,
    leave_within_s: float = _LEAVE_WITHIN_S,
) -> int:
    """Call `prepare`, then `work` with its result; return the exit code: 0 after SIGTERM, 130 after SIGINT.

    `prepare` must hold nothing that has to be closed: a signal meanwhile ends the process at once. `work`
    returns soon after its stop is requested; past `leave_within_s` the process ends with code 1 and stacks on
    standard error. The end of a supervisor is a stop too, and leaves 1.5 s. Code of a package that ends the
    process does not end it with 0. Configures the log. Main thread only. Raises what the two raise, but no
    `BrokerUnreachable` after a stop: the brokers cannot keep a role from a stop in order. What is not
    committed is read again, and the next start asks the group for what may be.
    """
    logs.configure(sys.stderr, os.environ)
    stop = Stop()
    with (
        on_signals(stop),
        leaving_within(stop, leave_within_s) as begun,
        leaving_with_supervisor(stop, os.environ, _log_orphaned),
        no_exit_in_disguise(_log_exit),
    ):
        prepared = prepare()
        begun.set()
        try:
            work(prepared, stop)
        except BrokerUnreachable:
            if not stop.requested:
                raise
    return stop.exit_code


def _log_exit(status: int, place: str) -> None:
    _LOG.error(LogEvent.PROCESS_EXIT, extra={"status": status, "place": place})


def _log_orphaned() -> None:
    _LOG.warning(LogEvent.SUPERVISOR_ENDED)
