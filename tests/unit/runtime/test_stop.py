from __future__ import annotations

import os
import signal

from stream_infer.runtime.stop import Stop, on_signals


def test_a_signal_sets_the_flag_and_the_handlers_come_back() -> None:
    stop = Stop()
    before = signal.getsignal(signal.SIGTERM)

    with on_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5.0)

    assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_first_reason_is_kept() -> None:
    stop = Stop()

    stop.request(signal.SIGTERM)
    stop.request(signal.SIGINT)

    assert stop.signal == signal.SIGTERM
