"""Runs contestants as processes on one backlog, in turns, and measures what each did.

Rate: from the broker's own append times of the committed output, between two shares of all records, so that
start, group join and the last partial batch do not count; of several processes, only once the group has
settled. CPU and memory: of the contestant's processes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from confluent_kafka import ConsumerGroupState
from numpy.typing import NDArray

from benchmarks.job import BATCH, Job
from benchmarks.limits import limited
from benchmarks.topics import Topics
from benchmarks.turns import Turns

ROOT = Path(__file__).parents[1]
_LEAVE_WITHIN_S = 20.0
_TICK_S = 0.25
_FROM_SHARE, _TO_SHARE = 0.1, 0.95
_LEAST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Contestant:
    """`command` makes the command line of one process from its job and a folder for its files.

    A slow one may get only a `share` of the events of the race. `monitored` says that it watches its model.
    Each process may use `cores` of the processors' time, None for all.
    """

    name: str
    command: Callable[[Job, Path], Sequence[str]]
    processes: int = 1
    transactional: bool = True
    monitored: bool = False
    batch: int = BATCH
    share: float = 1.0
    environment: Mapping[str, str] | None = None
    cores: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run: events a second, CPU microseconds an event, most resident MB, seconds to the first answer."""

    per_s: float
    cpu_us: float
    resident_mb: float
    first_s: float


def module(name: str) -> Callable[[Job, Path], Sequence[str]]:
    """Return what runs a module with its job."""
    return lambda job, _folder: [sys.executable, "-m", name, job.to_json()]


def worker(job: Job, folder: Path) -> Sequence[str]:
    """Return the command of the real worker; its settings are written to `folder`."""
    return worker_with({})(job, folder)


def worker_with(more: Mapping[str, Mapping[str, object]]) -> Callable[[Job, Path], Sequence[str]]:
    """Return what runs the real worker with more settings."""

    def command(job: Job, folder: Path) -> Sequence[str]:
        config = folder / f"worker-{job.slot}.toml"
        config.write_text(job.worker_toml(more), "utf-8")
        return [sys.executable, "-m", "stream_infer.cli.main", "run", "-c", str(config)]

    return command


def run(
    contestant: Contestant, job: Job, topics: Topics, *, count: int, partitions: int, within_s: float = 120.0
) -> Run:
    """Let `contestant` answer the `count` records of `job.input`; check that each was answered once.

    Raises `RuntimeError` when it ends, is late, or answers too often.
    """
    output = topics.create("output", partitions, broker_time=True)
    others = topics.create("dlq", 1), topics.create("monitoring", 1), topics.create("observations", 1)
    mine = addressed(contestant, job, job.input, output, others)
    deadline = time.monotonic() + within_s
    with running(contestant, mine) as processes:
        started_ms = time.time() * 1000
        watch = _Watch(processes, topics, output, mine.group)
        while watch.look() < count:
            _in_time(deadline, contestant.name)
        # The end of a topic counts the marks of transactions too; what a reader finds has the last word.
        while len(times_ms := topics.read(output)) < count:
            _in_time(deadline, contestant.name)
            watch.look()
        used = watch.used_until_end(count)
    topics.remove(output, *others)
    if len(times_ms) != count:
        raise RuntimeError(f"{contestant.name}: {len(times_ms)} answers to {count} records")
    per_s = _rate(times_ms, watch.settled_ms if len(processes) > 1 else 0.0)
    return Run(per_s, used, watch.resident_mb, (float(times_ms[0]) - started_ms) / 1000)


def addressed(
    contestant: Contestant, job: Job, source: str, output: str, others: tuple[str, str, str]
) -> Job:
    """Return the job with topics, a group of its own, and what the contestant says of itself.

    `others` are the topics for dead letters, monitoring events and observations.
    """
    dead_letters, monitoring, observations = others
    return replace(
        job,
        input=source,
        output=output,
        dead_letters=dead_letters,
        monitoring=monitoring if contestant.monitored else "",
        observations=observations if contestant.monitored else "",
        group=f"race.{uuid.uuid4().hex[:8]}.score",
        transactional=contestant.transactional,
        batch=contestant.batch,
    )


@contextmanager
def running(contestant: Contestant, job: Job) -> Iterator[list[Process]]:
    """Hold the processes of `contestant`, each under a slot of its own; they end with the block."""
    with tempfile.TemporaryDirectory(prefix="stream-infer-race-") as folder, ExitStack() as stack:
        yield [
            stack.enter_context(_started(contestant, replace(job, slot=f"s{index}"), Path(folder)))
            for index in range(contestant.processes)
        ]


def in_turns(
    contestants: Sequence[Contestant],
    go: Callable[[Contestant], Run],
    turns: Turns,
) -> Mapping[str, list[Run]]:
    """Run every contestant once a round, in an order that turns round each time (A B, B A, A B, ...)."""
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    for turn in turns:
        for contestant in contestants if turn % 2 == 0 else reversed(contestants):
            one = go(contestant)
            runs[contestant.name].append(one)
            print(
                f"  {turn + 1}/{turns.rounds}  {contestant.name:<24} {one.per_s:>9,.0f}/s"
                f"  {one.cpu_us:7.2f} us CPU  {one.resident_mb:4.0f} MB",
                flush=True,
            )
    return runs


class Process:
    """One process of a contestant; what it prints goes to a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self._popen = subprocess.Popen(list(command), cwd=ROOT, env=environment, stdout=out, stderr=out)
        self._seen = psutil.Process(self._popen.pid)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    @property
    def cpu_s(self) -> float:
        """CPU seconds so far."""
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    @property
    def resident_mb(self) -> float:
        """Resident memory now."""
        return float(self._seen.memory_info().rss / 2**20)

    def check_alive(self) -> None:
        """Raise `RuntimeError` with its last words if it has ended."""
        if self._popen.poll() is not None:
            said = self._log.read_text("utf-8", "replace")[-3000:]
            raise RuntimeError(f"ended with {self._popen.returncode}:\n{said}")

    def end(self) -> None:
        """Ask it to leave, and kill it when it does not."""
        self._popen.terminate()
        try:
            self._popen.wait(_LEAVE_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


class _Watch:
    """Looks at a run from outside, a few times a second."""

    def __init__(self, processes: Sequence[Process], topics: Topics, output: str, group: str) -> None:
        self._processes = processes
        self._topics = topics
        self._output = output
        self._group = group
        self._before: tuple[float, int] | None = None
        self.settled_ms = 0.0
        self.resident_mb = 0.0

    def look(self) -> int:
        """Wait a moment, and return how far the output has come, the marks of transactions included."""
        time.sleep(_TICK_S)
        for process in self._processes:
            process.check_alive()
        end = self._topics.end(self._output)
        self.resident_mb = max(self.resident_mb, sum(process.resident_mb for process in self._processes))
        if self._before is None and end > 0 and self._settled():
            self.settled_ms = time.time() * 1000
            self._before = self._cpu_s(), end
        return end

    def used_until_end(self, count: int) -> float:
        """Return the CPU microseconds an event since the first look at a settled group."""
        cpu_s, seen = self._before or (0.0, count)
        return (self._cpu_s() - cpu_s) / (count - seen) * 1e6 if count - seen > count // 4 else float("nan")

    def _settled(self) -> bool:
        if len(self._processes) == 1:
            return True
        state, members = self._topics.group(self._group)
        return state is ConsumerGroupState.STABLE and members == len(self._processes)

    def _cpu_s(self) -> float:
        return sum(process.cpu_s for process in self._processes)


def _rate(times_ms: NDArray[np.int64], settled_ms: float) -> float:
    count = len(times_ms)
    first = max(int(_FROM_SHARE * count), int(np.searchsorted(times_ms, settled_ms)))
    last = int(_TO_SHARE * count)
    if last - first < _LEAST_SHARE * count:
        raise RuntimeError("the backlog was nearly done when the group had settled: give it more events")
    return (last - first) / max(1e-3, float(times_ms[last] - times_ms[first]) / 1000)


def _in_time(deadline: float, name: str) -> None:
    if time.monotonic() > deadline:
        raise RuntimeError(f"{name}: not all records were answered in time")


@contextmanager
def _started(contestant: Contestant, job: Job, folder: Path) -> Iterator[Process]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(folder),
        **(contestant.environment or {}),
    }
    with limited(contestant.cores) as limit:
        process = Process(contestant.command(job, folder), environment, folder / f"{job.slot}.log")
        try:
            limit(process.pid)
            yield process
        finally:
            process.end()
