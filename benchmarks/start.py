"""How long `--help` takes, how long `run` takes to the first prediction, and what a worker weighs at rest.

    python -m benchmarks.start

Under a minute. Warm: everything has been read from the disk once before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks import report
from benchmarks.arena import Arena, Workload, arena
from benchmarks.race import ROOT, Contestant, addressed, running, worker
from benchmarks.turns import Turns

_EVENTS = 1_000
_PARTITIONS = 4
_WITHIN_S = 60.0
_REST_S = 1.0
_TICK_S = 0.05


def help_s() -> float:
    """Return the seconds of a process that prints the help and ends."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "stream_infer.cli.main", "--help"]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def first_prediction(arena: Arena, workload: Workload) -> tuple[float, float]:
    """Return the seconds from the start of `run` to the first prediction, and resident MB a moment later."""
    topics = arena.topics
    contestant = Contestant("worker", worker, monitored=True)
    output = topics.create("output", _PARTITIONS, broker_time=True)
    others = topics.create("dlq", 1), topics.create("monitoring", 1), topics.create("observations", 1)
    source = arena.backlog("events", workload.made.values, _EVENTS, _PARTITIONS)
    job = addressed(contestant, workload.job, source, output, others)
    began_ms = time.time() * 1000
    with running(contestant, job) as (process,):
        deadline = time.monotonic() + _WITHIN_S
        while topics.end(output) < _EVENTS:
            process.check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"no predictions within {_WITHIN_S:.0f} s")
            time.sleep(_TICK_S)
        time.sleep(_REST_S)
        resident_mb = process.resident_mb
    first_ms = float(topics.read(output)[0])
    topics.remove(output, *others)
    return (first_ms - began_ms) / 1000, resident_mb


def main() -> None:
    """Measure."""
    options = _options()
    help_s()
    helped = [help_s() for _ in range(options.rounds)]
    turns = Turns.asked_for(options)
    with arena() as here:
        workload = here.workload()
        first_prediction(here, workload)
        started = [first_prediction(here, workload) for _ in turns]
    report.finish(
        options.name,
        "Start of one worker",
        f"Linear model, exactly once, monitoring on, role score. {len(helped)} and {len(started)} runs; "
        "median (least-greatest).",
        report.table(
            ("what", "figure"),
            [
                ["`stream-infer --help`, ms", report.spread([1000 * one for one in helped])],
                ["`run` to the first prediction, s", report.spread([first for first, _ in started], ".2f")],
                ["resident memory at rest, MB", report.spread([mb for _, mb in started])],
            ],
        ),
    )


def _options() -> argparse.Namespace:
    return report.parser(__doc__, name="start", rounds=7).parse_args()


if __name__ == "__main__":
    main()
