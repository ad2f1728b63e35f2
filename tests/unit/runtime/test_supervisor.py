from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from stream_infer.common.backoff import Backoff
from stream_infer.runtime.stop import Stop
from stream_infer.runtime.supervisor import (
    ProcessEnded,
    ProcessEvent,
    ProcessStarted,
    Program,
    Restarts,
    supervise,
)

QUICK = Restarts(Backoff(first_s=0.0, most_s=0.0))
WAITS = "import signal; signal.pause()"
NOTES = """
import os, signal, sys
def note(number, _):
    with open(sys.argv[1], "w") as file:
        file.write(str(number))
    sys.exit(0)
signal.signal(signal.SIGINT, note)
signal.signal(signal.SIGTERM, note)
os.kill(os.getppid(), signal.SIGUSR1)
signal.pause()
"""
STAYS = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.kill(os.getppid(), signal.SIGUSR1)
signal.pause()
"""


def program(script: str, *arguments: str, name: str = "a") -> Program:
    return Program(name, (sys.executable, "-c", script, *arguments), dict(os.environ))


def run(
    *programs: Program,
    until: Callable[[list[ProcessEvent]], bool] = lambda _: False,
    signal_number: int | None = signal.SIGTERM,
    leave_within_s: float = 10.0,
) -> tuple[int, list[ProcessEvent]]:
    """Supervise until `until` holds of what happened; return the exit code and what happened."""
    stop = Stop()
    happened: list[ProcessEvent] = []

    def say(happening: ProcessEvent) -> None:
        happened.append(happening)
        if until(happened):
            stop.request(signal_number)

    code = supervise(programs, stop=stop, say=say, restarts=QUICK, leave_within_s=leave_within_s)
    return code, happened


def ended(happened: list[ProcessEvent]) -> list[ProcessEnded]:
    return [one for one in happened if isinstance(one, ProcessEnded)]


@pytest.mark.parametrize("code", [2, 3, 75])
def test_an_end_that_a_restart_would_repeat_ends_all_with_its_code(code: int) -> None:
    answer, happened = run(program(WAITS), program(f"raise SystemExit({code})", name="b"))

    assert answer == code
    assert ended(happened) == [ProcessEnded("b", code, None)]
    pids = [one.pid for one in happened if isinstance(one, ProcessStarted)]
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


ENDS = ["raise SystemExit(1)", "raise SystemExit(4)", "import os; os.abort()", "import os; os._exit(0)"]


@pytest.mark.parametrize("script", ENDS, ids=["1", "4", "abort", "0 without a stop"])
def test_a_failure_is_started_again(script: str) -> None:
    answer, happened = run(program(script), until=lambda so_far: len(ended(so_far)) == 3)

    assert answer == 0
    assert len({one.pid for one in happened if isinstance(one, ProcessStarted)}) == 3
    assert all(one.restart_s == 0.0 for one in ended(happened))


@pytest.mark.parametrize(("number", "answer"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_is_passed_on_and_everyone_leaves(number: int, answer: int) -> None:
    code, happened = run(
        program(WAITS), program(WAITS, name="b"), until=lambda so_far: len(so_far) == 2, signal_number=number
    )

    assert code == answer
    for one in happened:
        assert isinstance(one, ProcessStarted)
        with pytest.raises(ProcessLookupError):
            os.kill(one.pid, 0)


def test_the_signal_that_is_passed_on_is_the_one_that_came(tmp_path: Path) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with ready() as stop:
            stop.signal = number
            supervise([program(NOTES, str(tmp_path / number.name))], stop=stop, say=lambda _: None)

        assert (tmp_path / number.name).read_text() == str(number.value)


def test_who_does_not_leave_is_killed_and_that_is_a_failure() -> None:
    with ready() as stop:
        answer = supervise([program(STAYS)], stop=stop, say=lambda _: None, leave_within_s=0.1)

    assert answer == 1


@contextmanager
def ready() -> Iterator[Stop]:
    """Return a stop that is requested when a child says, with SIGUSR1, that it is ready for it."""
    stop = Stop()
    before = signal.signal(signal.SIGUSR1, lambda *_: stop.request(signal.SIGTERM))
    try:
        yield stop
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_failure_after_a_calm_time_counts_as_the_first() -> None:
    times = iter(range(0, 1_000_000, 100))
    stop = Stop()
    pauses: list[float | None] = []

    def say(happening: ProcessEvent) -> None:
        if isinstance(happening, ProcessEnded):
            pauses.append(happening.restart_s)
            if len(pauses) == 3:
                stop.request(signal.SIGTERM)

    restarts = Restarts(Backoff(first_s=0.5, most_s=30.0), calm_s=60.0)
    supervise(
        [program("raise SystemExit(1)")],
        stop=stop,
        say=say,
        restarts=restarts,
        clock=lambda: float(next(times)),
    )

    assert pauses == [0.5, 0.5, 0.5]


def test_a_program_may_fail_for_good_reasons_and_be_started_again_all_the_same() -> None:
    side = replace(program("raise SystemExit(2)", name="monitor"), final=frozenset())

    def failed_twice(happened: list[ProcessEvent]) -> bool:
        return sum(isinstance(one, ProcessEnded) and one.name == "monitor" for one in happened) == 2

    code, happened = run(program(WAITS), side, until=failed_twice)

    assert code == 0
    assert [one.code for one in happened if isinstance(one, ProcessEnded) and one.name == "monitor"] == [2, 2]
