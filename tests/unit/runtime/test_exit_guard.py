"""A process in which code of others calls `os._exit(0)` ends with 1, and tells who called."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import pytest

from stream_infer.runtime.exit_guard import no_exit_in_disguise

_PROGRAM = """
import os, pickle, sys
from stream_infer.runtime.exit_guard import no_exit_in_disguise

def told(status, place):
    print(status, place, flush=True)
    raise ValueError("a log that is gone")

def called():
    {call}

with no_exit_in_disguise(told):
    called()
"""


def ended(call: str) -> tuple[int, str]:
    """Return exit code and output of a guarded process that does `call`."""
    program = _PROGRAM.format(call=call)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize(("status", "code"), [(0, 1), (1, 1), (7, 7)])
def test_no_status_of_another_looks_like_a_stop_in_order(status: int, code: int) -> None:
    returned, said = ended(f"os._exit({status})")

    assert returned == code
    assert said.startswith(f"{status} called (<string>:")


def test_a_pickle_that_names_the_function_is_no_way_around() -> None:
    assert ended(f"pickle.loads({pickle.dumps(_Exits())!r})")[0] == 1


def test_a_child_that_is_forked_meanwhile_ends_as_it_likes() -> None:
    call = "child = os.fork(); child or os._exit(0); sys.exit(40 + os.waitpid(child, 0)[1])"

    assert ended(call) == (40, "")


def test_the_function_is_as_before_afterwards() -> None:
    before = os._exit

    with no_exit_in_disguise(lambda _status, _place: None):
        assert os._exit is not before

    assert os._exit is before


class _Exits:
    def __reduce__(self) -> tuple[object, tuple[int]]:
        return os._exit, (0,)
