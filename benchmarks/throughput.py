"""Events a second from a backlog: bare transactional copy, hand-written loop, worker. In turns, with ratios.

python -m benchmarks.throughput                    # what is promised: 0.1 kB, linear, one process
python -m benchmarks.throughput --sizes 100 1000 10000 --models linear histgb forest --processes 1 2
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import material, report
from benchmarks.job import BATCH, GROUP, HANDWRITTEN_BATCH, LARGE_BATCH, Job, write_pool
from benchmarks.predictions import predictions
from benchmarks.race import Contestant, Run, in_turns, module, run, worker
from benchmarks.topics import Topics
from tests.kafka.broker import running_broker

PARTITIONS = 4
_HEAD = (
    "events",
    "model",
    "processes",
    "contestant",
    "events/s",
    "of copy",
    "CPU us/event",
    "MB",
    "first answer, s",
)


def contestants(processes: int, *, wanted: Sequence[str]) -> list[Contestant]:
    """Return who races, in the order of the table."""
    every = [
        Contestant("copy", module("benchmarks.contestants.copy"), processes),
        Contestant(
            "copy, large batches", module("benchmarks.contestants.copy"), processes, batch=LARGE_BATCH
        ),
        Contestant("hand-written", module("benchmarks.contestants.handwritten"), processes),
        Contestant("worker", worker, processes),
        Contestant(
            "copy, at least once", module("benchmarks.contestants.copy"), processes, transactional=False
        ),
        Contestant("worker, at least once", worker, processes, transactional=False),
    ]
    return [one for one in every if one.name in wanted]


def rows(runs: Mapping[str, list[Run]], *, size: int, model: str, processes: int) -> list[list[str]]:
    """Return the lines of the table."""
    copy = [one.per_s for one in runs.get("copy", [])]
    lines = []
    for name, of in runs.items():
        rates = [one.per_s for one in of]
        lines.append(
            [
                f"{size / 1000:g} kB", model, str(processes), name,
                report.spread(rates),
                report.ratios(rates, copy) if copy else "-",
                report.spread([one.cpu_us for one in of], ".2f"),
                report.spread([one.resident_mb for one in of]),
                report.spread([one.first_s for one in of], ".1f"),
            ]
        )  # fmt: skip
    return lines


def headline(runs: Mapping[str, list[Run]]) -> str:
    """Return the ratios that are promised."""
    said = []
    for name, other in (
        ("worker", "copy"),
        ("worker", "copy, large batches"),
        ("worker", "hand-written"),
        ("worker", "worker, at least once"),
        ("worker, at least once", "copy, at least once"),
    ):
        if name in runs and other in runs:
            pair = [one.per_s for one in runs[name]], [one.per_s for one in runs[other]]
            said.append(f"{name} / {other}: {report.ratios(*pair)}")
    return "; ".join(said)


def main() -> None:
    """Race."""
    options = _options()
    table: list[list[str]] = []
    said: list[str] = []
    with (
        running_broker() as broker,
        Topics(broker.bootstrap) as topics,
        tempfile.TemporaryDirectory() as folder,
    ):
        for size in options.sizes:
            for model in options.models:
                made = material.make(Path(folder) / f"{model}-{size}", model=model, size_bytes=size)
                pool = Path(folder) / "pool.json"
                write_pool(pool, predictions(made))
                for processes in options.processes:
                    # Two rebalance first, and each must then have enough left.
                    count = (
                        options.events * processes * 100 // max(100, size)
                        if size > 1000
                        else options.events * processes
                    )
                    source = topics.create("input", PARTITIONS)
                    topics.fill(source, made.values, count, PARTITIONS)
                    job = Job(
                        bootstrap=broker.bootstrap, input=source, output="", dead_letters="", group="",
                        slot="",
                        schema=str(made.schema), estimator=str(made.estimator), package=str(made.package),
                        transactional=True, pool=str(pool),
                    )  # fmt: skip
                    print(f"{size} B, {model}, {processes} process(es), {count} events")

                    def go(one: Contestant, job: Job = job, count: int = count) -> Run:
                        return run(one, replace(job), topics, count=count, partitions=PARTITIONS)

                    runs = in_turns(contestants(processes, wanted=options.contestants), go, options.rounds)
                    table += rows(runs, size=size, model=model, processes=processes)
                    said.append(f"- {size / 1000:g} kB, {model}, {processes} process(es): {headline(runs)}")
                    print(said[-1])
                    topics.remove(source)
    path = report.write(
        options.name,
        "Throughput from a backlog",
        report.machine(),
        f"{material.FEATURES} features, {PARTITIONS} partitions; batches of at most {BATCH:,} (copy), "
        f"{LARGE_BATCH:,} (copy, large batches; worker, by its own pace), {HANDWRITTEN_BATCH:,} (hand-written); "
        f"{options.rounds} rounds in turns, {options.events:,} events a process. Median (least-greatest); ratios are of runs of one round. Client settings are the "
        f"worker's own, with {', '.join(f'{k}={v}' for k, v in GROUP.items())}. Broker and contestants share "
        "the cores.",
        report.table(_HEAD, table),
        "\n".join(said),
    )
    print(path.read_text("utf-8"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100])
    parser.add_argument("--models", nargs="+", default=["linear"], choices=sorted(material.MODELS))
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--contestants", nargs="+", default=["copy", "copy, large batches", "hand-written", "worker"]
    )
    parser.add_argument("--name", default="throughput", help="the file in results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
