"""A call that ignores its timeout, made on a thread of its own so that its caller can leave it behind.

`send_offsets_to_transaction` waits for the group's coordinator without an end while that is down, and for
ever once it has left the cluster (confluentinc/librdkafka#5456, #5511). `Consumer.commit` has no timeout. The
thread of a call that was left behind, and the client that it holds, stay until the call returns or the
process ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait


class LeftBehind(Exception):
    """The call has not returned; whatever it used must not be used again."""


def call_bounded(call: Callable[[], object], *, every_s: float, over: Callable[[], bool]) -> None:
    """Make `call` on a new thread and wait for its end. Raises what it raises.

    `over` is asked each `every_s` seconds of waiting; once it is true, `LeftBehind` is raised.
    """
    end: Future[object] = Future()

    def run() -> None:
        try:
            end.set_result(call())
        except Exception as exception:  # noqa: BLE001 - handed to whoever waits
            end.set_exception(exception)

    threading.Thread(target=run, name="send-offsets", daemon=True).start()
    while not wait([end], every_s).done:
        if over():
            raise LeftBehind
    end.result()
