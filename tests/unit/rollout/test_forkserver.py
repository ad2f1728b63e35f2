"""A package that is rehearsed in a forked child is told the same as in one that was started anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from stream_infer.rollout.forkserver import forkserver
from stream_infer.rollout.spawned_child import run_spawned
from tests.unit.rollout.packages import (
    Calls,
    eats_memory,
    exits,
    hangs,
    kills_its_parent,
    kills_itself,
    line,
    package,
    phones_home,
    touches,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")]

ROOT = Path(__file__).parents[3]
KILL = ["kill", "", {}, None]
ANEW = ["anew", "", {}, None]
WITHIN_S = 60.0
BALLAST = 2**25


def asked(path: Path, model: object = None, *, cancel_when: Path | None = None, **limits: float) -> list[Any]:
    """Write a package to `path`; return what `forked` is to be asked about it."""
    ref = package(path, 2.0) if model is None else package(path, 2.0, model)
    watched = None if cancel_when is None else str(cancel_when)
    return [str(path), ref.digest, {"timeout_s": WITHIN_S, **limits}, watched]


def started(questions: Sequence[list[Any]], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.unit.rollout.forked", json.dumps(questions)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(*questions: list[Any], **environment: str) -> list[dict[str, Any] | None]:
    program = started(questions, **environment)
    said, complaints = program.communicate(timeout=2 * WITHIN_S)
    assert program.returncode == 0, complaints
    return [json.loads(line) for line in said.splitlines()]


def loaded(loading: Path, worker: subprocess.Popen[str]) -> int:
    """Wait until a package that `touches(loading)` is being loaded; return the number of its process."""
    deadline = time.monotonic() + WITHIN_S
    while not (loading.exists() and loading.read_text()):
        assert worker.poll() is None
        assert time.monotonic() < deadline
    return int(loading.read_text())


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not gone(pid):
        assert time.monotonic() < deadline


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_whatever_a_package_does_it_does_to_itself(tmp_path: Path) -> None:
    forged = '{"measured": {"rows": 9, "max_abs_difference": 0, "batch_p50_s": 0, "grown_bytes": 0}}'
    prints = Calls(eval, f"[(os.write(1, {forged.encode()!r}), os._exit(7)) for os in [__import__('os')]]")

    *bad, good = answers(
        asked(tmp_path / "killed", kills_itself()),
        asked(tmp_path / "exits", exits()),
        asked(tmp_path / "prints", prints),
        asked(tmp_path / "hangs", hangs(), timeout_s=1.0),
        asked(tmp_path / "eats", eats_memory(), memory_bytes=2**28),
        asked(tmp_path / "phones", phones_home()),
        asked(tmp_path / "good"),
    )

    assert [(one or {}).get("code") for one in bad] == [
        "crash", "crash", "crash", "timeout", "memory", "network"
    ]  # fmt: skip
    reasons = [(one or {})["reason"] for one in bad]
    assert "SIGKILL" in reasons[0]
    assert "exit code 0" in reasons[1]
    assert "exit code 7" in reasons[2]
    assert "longer than 1 s" in reasons[3]
    assert good is not None
    assert (good["rows"], good["max_abs_difference"]) == (3, 0.0)
    assert 0 <= good["grown_bytes"] < 2**28


def test_a_package_is_charged_what_it_adds_and_not_the_pages_of_libraries(tmp_path: Path) -> None:
    heavy = line(2.0)
    heavy.ballast = np.random.default_rng(0).random(BALLAST // 8)

    small, large = answers(asked(tmp_path / "small"), asked(tmp_path / "large", heavy))

    assert small is not None
    assert large is not None
    assert 0 <= small["grown_bytes"] < 20 * 2**20  # most of it: modules of scikit-learn that it imports
    # Its file, and the array that is read from it.
    assert 1.8 * BALLAST < large["grown_bytes"] - small["grown_bytes"] < 2.5 * BALLAST


def test_one_that_is_not_wanted_any_more_is_killed_and_the_next_one_has_its_turn(tmp_path: Path) -> None:
    loading = tmp_path / "loading"

    cancelled, good = answers(
        asked(tmp_path / "hangs", touches(loading, hangs()), cancel_when=loading), asked(tmp_path / "good")
    )

    assert cancelled is None
    assert gone(int(loading.read_text()))
    assert good is not None
    assert good["rows"] == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_when_the_worker_ends_its_rehearsal_does_too(tmp_path: Path, number: signal.Signals) -> None:
    loading = tmp_path / "loading"
    with started([asked(tmp_path / "hangs", touches(loading, hangs()))]) as worker:
        child = loaded(loading, worker)

        worker.send_signal(number)

    until_gone(child)


def test_when_the_server_is_killed_its_rehearsal_ends_too_and_the_package_is_refused(tmp_path: Path) -> None:
    loading = tmp_path / "loading"
    hanging = asked(tmp_path / "hangs", touches(loading, hangs()), timeout_s=10 * WITHIN_S)
    with started([hanging]) as worker:
        child = loaded(loading, worker)

        psutil.Process(psutil.Process(child).ppid()).kill()

        until_gone(child)
        assert worker.stdout is not None
        answer = json.loads(worker.stdout.readline())

    assert answer["code"] == "crash"
    assert answer["reason"].startswith("the fork server ended during the rehearsal")


def test_a_rehearsal_that_was_started_anew_ends_with_the_worker(tmp_path: Path) -> None:
    loading = tmp_path / "loading"
    hanging = asked(tmp_path / "hangs", touches(loading, hangs()), timeout_s=10 * WITHIN_S)
    with started([KILL, ANEW, hanging]) as worker:
        child = loaded(loading, worker)
        assert psutil.Process(child).ppid() == worker.pid

        worker.kill()

    until_gone(child)


def test_a_package_that_kills_the_server_is_refused_and_the_next_is_started_anew(tmp_path: Path) -> None:
    bad, good = answers(asked(tmp_path / "kills", kills_its_parent()), ANEW, asked(tmp_path / "good"))

    assert bad is not None
    assert bad["code"] == "crash"
    assert good is not None
    assert good["rows"] == 3


def test_when_the_server_is_gone_a_child_is_started_anew(tmp_path: Path) -> None:
    first, second = answers(asked(tmp_path / "one"), KILL, ANEW, asked(tmp_path / "two"))

    assert first is not None
    assert second is not None
    assert second["rows"] == 3


def test_the_child_is_not_told_what_the_worker_was_told(tmp_path: Path) -> None:
    told = tmp_path / "told"
    program = f"open({str(told)!r}, 'w').write(repr(dict(__import__('os').environ)))"

    environment = {"STREAM_INFER_KAFKA__SASL_PASSWORD": "secret", "OMP_NUM_THREADS": "1"}
    answers(asked(tmp_path / "tells", Calls(eval, program)), **environment)

    assert "secret" not in told.read_text()
    assert "'OMP_NUM_THREADS': '1'" in told.read_text()


def test_a_process_with_threads_is_not_forked() -> None:
    enough = threading.Event()
    other = threading.Thread(target=enough.wait)
    other.start()
    try:
        with forkserver() as run:
            assert run is run_spawned
    finally:
        enough.set()
        other.join()


def test_a_child_gives_way_to_scoring(tmp_path: Path) -> None:
    nice = tmp_path / "nice"
    program = f"open({str(nice)!r}, 'w').write(str(__import__('os').nice(0)))"

    answers(asked(tmp_path / "tells", Calls(eval, program)))

    assert int(nice.read_text()) == min(19, os.nice(0) + 10)
