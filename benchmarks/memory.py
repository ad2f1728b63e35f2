"""Resident memory of one worker at a steady load, in a burst of ten times that, and behind a long backlog.

    python -m benchmarks.memory
    python -m benchmarks.memory --size 1000 --rate 2000

Under two minutes. A worker that holds no more than its fetch queue and one batch stays within a bound that
no burst moves.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator, Sequence

from confluent_kafka import Producer

from benchmarks import material, report
from benchmarks.arena import Arena, arena
from benchmarks.job import Job
from benchmarks.race import Contestant, Process, addressed, running, worker
from benchmarks.turns import Turns

PARTITIONS = 4
_TICK_S = 0.02
_WITHIN_S = 60.0
_HEAD = ("phase", "sent", "most resident, MB", "at its end, MB", "caught up after, s")


class Scene:
    """A worker, and what is sent to it."""

    def __init__(self, arena: Arena, values: Sequence[bytes], process: Process, job: Job) -> None:
        self._topics = arena.topics
        self._values = values
        self._process = process
        self._job = job
        self._sent = 0
        self._producer = Producer(
            {"bootstrap.servers": arena.topics.bootstrap, "linger.ms": 5, "compression.type": "lz4"}
        )

    def steady(self, phase: str, rate: int, seconds: float) -> list[str]:
        """Send `rate` events a second for so long, wait for the answers, and return the line of the table."""
        began = time.monotonic()
        before = self._sent
        most = 0.0
        while (now := time.monotonic() - began) < seconds:
            self._send(before + int(rate * now) - self._sent)
            most = max(most, self._process.resident_mb)
            time.sleep(_TICK_S)
        return self._line(phase, before, most)

    def backlog(self, phase: str, count: int) -> list[str]:
        """Let `count` events pile up while the worker is stopped, let it go on, and return the line."""
        before = self._sent
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            self._send(count)
            self._producer.flush(60)
        finally:
            os.kill(self._process.pid, signal.SIGCONT)
        return self._line(phase, before, 0.0)

    def _line(self, phase: str, before: int, most: float) -> list[str]:
        self._producer.flush(60)
        began = time.monotonic()
        while self._topics.committed(self._job.group, self._job.input) < self._sent:
            self._process.check_alive()
            if time.monotonic() > began + _WITHIN_S:
                raise RuntimeError(f"{phase}: not caught up within {_WITHIN_S:.0f} s")
            most = max(most, self._process.resident_mb)
            time.sleep(_TICK_S)
        caught_up_s = time.monotonic() - began
        end = self._process.resident_mb
        return [
            phase,
            f"{self._sent - before:,}",
            f"{max(most, end):.0f}",
            f"{end:.0f}",
            f"{caught_up_s:.1f}",
        ]

    def _send(self, count: int) -> None:
        for index in range(self._sent, self._sent + count):
            value, key = self._values[index % len(self._values)], b"k%d" % (index % 10_000)
            while True:
                try:
                    self._producer.produce(self._job.input, value, key, index % PARTITIONS)
                except BufferError:
                    self._producer.poll(0.01)
                else:
                    break
        self._sent += count
        self._producer.poll(0)


def play(arena: Arena, options: argparse.Namespace) -> Iterator[list[str]]:
    """Yield the lines of the table, one worker going through all phases."""
    workload = arena.workload(size_bytes=options.size)
    topics = arena.topics
    source, output = topics.create("input", PARTITIONS), topics.create("output", PARTITIONS)
    others = topics.create("dlq", 1), topics.create("monitoring", 1), topics.create("observations", 1)
    contestant = Contestant("worker", worker, monitored=True)
    job = addressed(contestant, workload.job, source, output, others)
    with running(contestant, job) as (process,):
        scene = Scene(arena, workload.made.values, process, job)
        yield scene.steady("start", 100, 2)
        yield scene.steady(f"{options.rate:,} events/s", options.rate, options.seconds)
        yield scene.steady(f"burst: {10 * options.rate:,} events/s", 10 * options.rate, options.seconds)
        yield scene.steady(f"{options.rate:,} events/s again", options.rate, options.seconds)
        for count in (options.backlog // 10, options.backlog):
            yield scene.backlog(f"backlog of {count:,}", count)


def main() -> None:
    """Measure."""
    options = _options()
    with arena() as here:
        table = [line for _ in Turns.asked_for(options) for line in play(here, options)]
    report.finish(
        options.name,
        "Memory of one worker under load",
        f"{material.FEATURES} features, linear model, {options.size} B an event, {PARTITIONS} partitions, "
        "exactly once, monitoring on, default settings (fetch queue 64 MB, batch 64 MB). Of one process that "
        "goes through all phases; it is stopped while a backlog piles up.",
        report.table(_HEAD, table),
    )


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="memory", rounds=1)
    parser.add_argument("--rate", type=int, default=5_000, help="events a second before the burst")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase")
    parser.add_argument("--size", type=int, default=100, help="bytes of an event")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="events that pile up at last")
    return parser.parse_args()


if __name__ == "__main__":
    main()
