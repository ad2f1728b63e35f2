"""Calls that ignore their timeout: their end is that of the caller's wait, or they are left behind."""

from __future__ import annotations

import threading

import pytest

from stream_infer.kafka.unbounded_call import LeftBehind, call_bounded


def test_the_caller_waits_for_the_end() -> None:
    ended = threading.Event()

    call_bounded(ended.set, every_s=60, over=lambda: True)

    assert ended.is_set()


def test_an_error_is_raised_in_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        call_bounded(fail, every_s=60, over=lambda: True)


def test_a_call_without_an_end_is_left_behind() -> None:
    release = threading.Event()
    asked = iter([False, False, True])
    try:
        with pytest.raises(LeftBehind):
            call_bounded(release.wait, every_s=0.001, over=lambda: next(asked))
    finally:
        release.set()
    assert next(asked, None) is None
