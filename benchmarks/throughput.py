"""Events a second from a backlog: bare transactional copy, hand-written loop, worker. In turns, with ratios.

    python -m benchmarks.throughput                    # what is promised: 0.1 kB, linear, one process
    python -m benchmarks.throughput --contestants worker worker-at-least-once worker-unmonitored
    python -m benchmarks.throughput --processes 1 2 --contestants copy worker        # two workers, two copies
    python -m benchmarks.throughput --processes 1 2 --contestants copy worker --cores 0.3
    python -m benchmarks.throughput --sizes 100 1000 10000 --models linear histgb forest --rounds 3

A run takes about 4 s and as long as its events do; each contestant runs once a round.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks import material, report
from benchmarks.arena import Arena, arena
from benchmarks.job import BATCH, GROUP, HANDWRITTEN_BATCH, LARGE_BATCH
from benchmarks.race import Contestant, Run, in_turns, module, run, worker, worker_with
from benchmarks.turns import Turns

PARTITIONS = 4
_COPY = module("benchmarks.contestants.copy")
_GONE = {"topic": "race.monitoring.gone", "observations_topic": "race.observations.gone"}
CONTESTANTS = {
    one.name: one
    for one in (
        Contestant("copy", _COPY),
        Contestant("copy-large-batches", _COPY, batch=LARGE_BATCH),
        Contestant("copy-at-least-once", _COPY, transactional=False),
        Contestant("hand-written", module("benchmarks.contestants.handwritten"), share=0.25),
        Contestant("worker", worker, monitored=True),
        Contestant("worker-unmonitored", worker),
        # Its monitoring topics do not exist: it keeps what is for them, and asks for them every second.
        Contestant("worker-degraded", worker_with({"monitoring": _GONE})),
        Contestant("worker-at-least-once", worker, monitored=True, transactional=False),
    )
}
_PROMISED = ("copy", "copy-large-batches", "hand-written", "worker")
_PAIRS = (
    ("worker", "copy"),
    ("worker", "copy-large-batches"),
    ("worker", "hand-written"),
    ("worker", "worker-at-least-once"),
    ("worker", "worker-unmonitored"),
    ("worker-degraded", "worker-unmonitored"),
    ("worker-at-least-once", "copy-at-least-once"),
)
_HEAD = (
    "events", "model", "processes", "contestant", "rounds", "events/s", "of copy", "CPU us/event", "MB",
    "first answer, s",
)  # fmt: skip


def racing(names: Sequence[str], processes: Sequence[int]) -> list[Contestant]:
    """Return who races: each of `names` with each number of processes."""
    return [
        replace(CONTESTANTS[name], name=_named(name, count), processes=count)
        for count in processes
        for name in names
    ]


def race(
    arena: Arena, contestants: Sequence[Contestant], *, model: str, size: int, events: int, turns: Turns
) -> Mapping[str, list[Run]]:
    """Run `contestants` in turns on `events` events of `size` bytes."""
    workload = arena.workload(model=model, size_bytes=size)

    def go(one: Contestant) -> Run:
        count = int(events * one.share)
        source = arena.backlog(f"{model}-{size}", workload.made.values, count, PARTITIONS)
        job = replace(workload.job, input=source)
        return run(one, job, arena.topics, count=count, partitions=PARTITIONS)

    return in_turns(contestants, go, turns)


def rows(
    runs: Mapping[str, list[Run]], contestants: Sequence[Contestant], *, model: str, size: int
) -> Iterator[list[str]]:
    """Yield the lines of the table."""
    for one in contestants:
        of = runs[one.name]
        copy = runs.get(_named("copy", one.processes), [])
        rates = [run.per_s for run in of]
        yield [
            f"{size / 1000:g} kB", model, str(one.processes), one.name.partition(" ")[0],
            str(len(of)),
            report.spread(rates),
            report.ratios(rates, [run.per_s for run in copy]) if copy else "-",
            report.spread([run.cpu_us for run in of], ".2f"),
            report.spread([run.resident_mb for run in of]),
            report.spread([run.first_s for run in of], ".1f"),
        ]  # fmt: skip


def said(runs: Mapping[str, list[Run]], processes: Sequence[int]) -> Iterator[str]:
    """Yield the ratios that are promised, as far as their contestants ran."""
    for count in processes:
        for name, other in _PAIRS:
            yield from _ratio(runs, _named(name, count), _named(other, count))
    for name in ("copy", "worker"):
        yield from _ratio(runs, _named(name, 2), _named(name, 1))


def _ratio(runs: Mapping[str, list[Run]], name: str, other: str) -> Iterator[str]:
    if name in runs and other in runs:
        pair = [run.per_s for run in runs[name]], [run.per_s for run in runs[other]]
        yield f"{name} / {other}: {report.ratios(*pair)}"


def _named(name: str, processes: int) -> str:
    return name if processes == 1 else f"{name} x{processes}"


def main() -> None:
    """Race."""
    options = _options()
    contestants = [
        replace(one, cores=options.cores) for one in racing(options.contestants, options.processes)
    ]
    table: list[list[str]] = []
    ratios: list[str] = []
    cells = [(size, model) for size in options.sizes for model in options.models]
    turns = Turns.asked_for(options)
    try:
        with arena() as here:
            for left, (size, model) in zip(range(len(cells), 0, -1), cells, strict=True):
                events = min(options.events, options.megabytes * 1_000_000 // size)
                print(f"{size} B, {model}, {events} events", flush=True)
                runs = race(
                    here, contestants, model=model, size=size, events=events, turns=turns.for_one_of(left)
                )
                here.forget_backlogs()
                table += rows(runs, contestants, model=model, size=size)
                ratios += (f"- {size / 1000:g} kB, {model}: {one}" for one in said(runs, options.processes))
    finally:  # what was measured before an end by Ctrl-C or SIGTERM is worth telling
        _tell(options, table, ratios)


def _tell(options: argparse.Namespace, table: list[list[str]], ratios: list[str]) -> None:
    if not table:
        return
    report.finish(
        options.name,
        "Throughput from a backlog",
        f"{material.FEATURES} features, {PARTITIONS} partitions, {options.events:,} events or "
        f"{options.megabytes} MB, the hand-written loop a quarter. Batches of at most {BATCH:,} (copy), "
        f"{LARGE_BATCH:,} (copy-large-batches; worker, by its pace), {HANDWRITTEN_BATCH:,} (hand-written). "
        "In turns; median of the rounds (least-greatest); ratios are of runs of one round. Client "
        f"settings are the worker's own, with {', '.join(f'{k}={v}' for k, v in GROUP.items())}. The worker "
        f"monitors unless it says otherwise. {_limit(options.cores)}",
        report.table(_HEAD, table),
        "\n".join(ratios),
    )


def _limit(cores: float | None) -> str:
    if cores is None:
        return "Broker and contestants share the cores."
    return f"Each process may use {cores:g} of a core: they and the broker find one whenever they want it."


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="throughput", rounds=5)
    parser.add_argument("--events", type=int, default=1_000_000, help="at most so many a run")
    parser.add_argument("--megabytes", type=int, default=1_000, help="at most so many a run")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100], help="bytes of an event")
    parser.add_argument("--models", nargs="+", default=["linear"], choices=sorted(material.MODELS))
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--cores", type=float, help="processor time that each process may use (root, Linux)")
    parser.add_argument("--contestants", nargs="+", default=list(_PROMISED), choices=sorted(CONTESTANTS))
    return parser.parse_args()


if __name__ == "__main__":
    main()
