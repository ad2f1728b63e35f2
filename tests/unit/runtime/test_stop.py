from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading

from stream_infer.runtime.stop import Stop, on_signals


def test_a_signal_sets_the_flag_and_the_handlers_come_back() -> None:
    stop = Stop()
    before = signal.getsignal(signal.SIGTERM)

    with on_signals(stop):
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5.0)

    assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_amid_a_wait_is_heard() -> None:
    # In a process of its own: a main thread that waits for a lock which it holds itself ends no other way.
    script = """
import signal, sys, threading
from stream_infer.runtime.stop import Stop, on_signals

def strike(frame, event, arg):
    if event == "call" and frame.f_code is threading.Condition.wait.__code__:
        sys.setprofile(None)
        signal.raise_signal(signal.SIGTERM)

stop = Stop()
with on_signals(stop):
    sys.setprofile(strike)
    sys.exit(0 if stop.wait(10.0) else 1)
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=20, check=False).returncode == 0


def test_a_signal_is_heard_while_the_main_thread_is_in_a_long_call() -> None:
    stop = Stop()
    heard: list[bool] = []

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        heard.append(stop.wait(10.0))

    with on_signals(stop):
        threading.Timer(0.1, kill).start()
        # One call of about a second that lets other threads run, but no handler of this one.
        hashlib.pbkdf2_hmac("sha256", b"", b"", 3_000_000)
        # no step between: a handler would run there
        assert heard == [True]


def test_the_first_reason_is_kept() -> None:
    stop = Stop()

    stop.request(signal.SIGTERM)
    stop.request(signal.SIGINT)

    assert stop.signal == signal.SIGTERM
