"""Time and memory per event as partitions, features, batch limit or backlog grow. Worker and copy in turns.

    python -m benchmarks.growth partitions
    python -m benchmarks.growth features
    python -m benchmarks.growth batch
    python -m benchmarks.growth backlog
    python -m benchmarks.growth partitions --points 1 32 --rounds 5

Each takes three to four minutes. The copy shows what broker and client need for the same records; what the
worker needs beyond that is its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks import material, report
from benchmarks.arena import Arena, arena
from benchmarks.race import Contestant, Run, in_turns, module, run, worker_with
from benchmarks.turns import Turns

PARTITIONS = 4
_BATCHES = 100
_HEAD = ("", "contestant", "events", "rounds", "events/s", "of copy", "CPU us/event", "MB")


@dataclass(frozen=True, slots=True)
class Point:
    """One point of an axis: what is as large as it says; the rest is as always."""

    partitions: int = PARTITIONS
    features: int = material.FEATURES
    batch: int | None = None
    backlog: int | None = None

    def events(self, most: int) -> int:
        """Return how many events to answer: of small batches, not more than a hundred batches have."""
        if self.backlog is not None:
            return self.backlog
        if self.batch is not None:
            return min(most, _BATCHES * self.batch)
        return min(most, most * 50 // self.features)


@dataclass(frozen=True, slots=True)
class Axis:
    """What grows, and from where to where."""

    at: Callable[[int], Point]
    points: Sequence[int]


AXES: Mapping[str, Axis] = {
    "partitions": Axis(lambda value: Point(partitions=value), (1, 4, 16, 32)),
    "features": Axis(lambda value: Point(features=value), (1, 13, 50, 200)),
    "batch": Axis(lambda value: Point(batch=value), (1, 10, 100, 1_000, 10_000)),
    "backlog": Axis(lambda value: Point(backlog=value), (20_000, 100_000, 1_000_000)),
}


def contestants(point: Point) -> list[Contestant]:
    """Return worker and copy for this point; without a batch limit each has its usual one."""
    limit = {} if point.batch is None else {"worker": {"max_batch_records": point.batch}}
    copy = Contestant("copy", module("benchmarks.contestants.copy"))
    return [
        Contestant("worker", worker_with(limit), monitored=True),
        copy if point.batch is None else replace(copy, batch=point.batch),
    ]


def race(arena: Arena, point: Point, *, events: int, turns: Turns) -> Mapping[str, list[Run]]:
    """Run both in turns at one point."""
    workload = arena.workload(features=point.features)

    def go(one: Contestant) -> Run:
        source = arena.backlog("events", workload.made.values, events, point.partitions)
        job = replace(workload.job, input=source)
        return run(one, job, arena.topics, count=events, partitions=point.partitions)

    runs = in_turns(contestants(point), go, turns)
    arena.forget_backlogs()
    return runs


def rows(value: int, events: int, runs: Mapping[str, list[Run]]) -> Iterator[list[str]]:
    """Yield the lines of one point."""
    copy = [one.per_s for one in runs["copy"]]
    for name, of in runs.items():
        rates = [one.per_s for one in of]
        yield [
            f"{value:,}",
            name,
            f"{events:,}",
            str(len(of)),
            report.spread(rates),
            report.ratios(rates, copy),
            report.spread([one.cpu_us for one in of], ".2f"),
            report.spread([one.resident_mb for one in of]),
        ]


def main() -> None:
    """Measure one axis."""
    options = _options()
    axis = AXES[options.axis]
    table: list[list[str]] = []
    points = options.points or axis.points
    turns = Turns.asked_for(options)
    try:
        with arena() as here:
            for left, value in zip(range(len(points), 0, -1), points, strict=True):
                point = axis.at(value)
                events = point.events(options.events)
                print(f"{options.axis} {value}, {events} events", flush=True)
                table += rows(value, events, race(here, point, events=events, turns=turns.for_one_of(left)))
    finally:  # what was measured before an end by Ctrl-C or SIGTERM is worth telling
        _tell(options, table)


def _tell(options: argparse.Namespace, table: list[list[str]]) -> None:
    if not table:
        return
    report.finish(
        options.name or f"growth-{options.axis}",
        f"Growth with {options.axis}",
        f"{material.FEATURES} features, {PARTITIONS} partitions, linear model, 0.1 kB or as much as the "
        f"features need, exactly once, monitoring on; in turns; median of the rounds "
        "(least-greatest). CPU is that of the process, start excluded; MB the most that was resident.",
        report.table((options.axis, *_HEAD[1:]), table),
    )


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="", rounds=3)
    parser.add_argument("axis", choices=sorted(AXES), help="what grows")
    parser.add_argument("--points", type=int, nargs="+", default=[], help="its values")
    parser.add_argument("--events", type=int, default=400_000, help="at most so many a run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
