"""Runs contestants as processes on one backlog, in turns, and measures what each did.

Rate: from the broker's own append times of the committed output, between two shares of all records, so that
start, group join and the last partial batch do not count. CPU: of the contestant's processes, per event.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from benchmarks.job import BATCH, Job
from benchmarks.topics import Topics, until_written

ROOT = Path(__file__).parents[1]
_LEAVE_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Contestant:
    """`command` makes the command line of one process from its job and a folder for its files."""

    name: str
    command: Callable[[Job, Path], Sequence[str]]
    processes: int = 1
    transactional: bool = True
    batch: int = BATCH
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run: events a second, CPU us and resident MB of its processes, seconds to the first answer."""

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
    contestant: Contestant, job: Job, topics: Topics, *, count: int, partitions: int, within_s: float = 300.0
) -> Run:
    """Let `contestant` answer the `count` records of `job.input`; check that each was answered once."""
    name = f"race.{uuid.uuid4().hex[:8]}"
    output = topics.create("output", partitions, broker_time=True)
    letters = topics.create("dlq", 1)
    mine = replace(
        job,
        output=output,
        dead_letters=letters,
        group=f"{name}.score",
        transactional=contestant.transactional,
        batch=contestant.batch,
    )
    with tempfile.TemporaryDirectory() as folder:
        processes = [
            start(contestant, replace(mine, slot=f"s{index}"), Path(folder))
            for index in range(contestant.processes)
        ]
        started_ms = time.time() * 1000
        try:
            before = None

            def alive() -> None:
                nonlocal before
                if any(process.poll() is not None for process in processes):
                    log = (Path(folder) / "s0.log").read_text("utf-8", "replace")
                    raise RuntimeError(f"{contestant.name} ended:\n{log[-3000:]}")
                if before is None and topics.end(output) > 0:
                    before = _cpu_s(processes), topics.end(output)

            until_written(topics, output, count, within_s=within_s, alive=alive)
            cpu_s = _cpu_s(processes)
            resident = sum(psutil.Process(p.pid).memory_info().rss for p in processes) / 2**20
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(_LEAVE_WITHIN_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    written = topics.read(output)
    topics.remove(output, letters)
    if len(written) != count:
        raise RuntimeError(f"{contestant.name}: {len(written)} answers to {count} records")
    low, high = (0.1, 0.95) if contestant.processes == 1 else (0.4, 0.9)
    first, last = (written.times_ms[int(share * count)] for share in (low, high))
    per_s = (high - low) * count / max(1e-3, float(last - first) / 1000)
    spent, seen = (cpu_s, 0) if before is None else (cpu_s - before[0], before[1])
    cpu_us = spent / (count - seen) * 1e6 if count - seen > count // 4 else float("nan")
    return Run(per_s, cpu_us, resident, (float(written.times_ms[0]) - started_ms) / 1000)


def in_turns(
    contestants: Sequence[Contestant],
    go: Callable[[Contestant], Run],
    rounds: int,
    *,
    say: Callable[[str], None] = print,
) -> Mapping[str, list[Run]]:
    """Run every contestant once a round, in an order that turns round each time (A B, B A, A B, ...)."""
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in contestants}
    for turn in range(rounds):
        for contestant in contestants if turn % 2 == 0 else reversed(contestants):
            one = go(contestant)
            runs[contestant.name].append(one)
            say(
                f"  {turn + 1}/{rounds}  {contestant.name:<28} {one.per_s:>9,.0f}/s  {one.cpu_us:6.2f} us CPU"
            )
    return runs


def start(contestant: Contestant, job: Job, folder: Path) -> subprocess.Popen[bytes]:
    """Start one process of `contestant`; what it prints goes to a file in `folder`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        **(contestant.environment or {}),
    }
    with (folder / f"{job.slot}.log").open("wb") as log:
        return subprocess.Popen(
            list(contestant.command(job, folder)), cwd=ROOT, env=environment, stdout=log, stderr=log
        )


def _cpu_s(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    times = [psutil.Process(process.pid).cpu_times() for process in processes]
    return float(np.sum([one.user + one.system for one in times]))
