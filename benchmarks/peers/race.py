"""The worker and its peers on the same events and model, each peer in an environment of its own.

    python -m benchmarks.peers.race --environments DIR

An environment that is missing is made with `venv` and pip, from `requirements/`. Peers are slower, and get as
many events as they answer in some ten seconds.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import material, report
from benchmarks.job import Job, write_pool
from benchmarks.predictions import predictions
from benchmarks.race import Contestant, Run, module, run, worker
from benchmarks.topics import Topics
from tests.kafka.broker import running_broker

PARTITIONS = 4
_HERE = Path(__file__).parent
_HEAD = ("contestant", "guarantee", "events/s", "worker is times as fast", "CPU us/event", "events")


@dataclass(frozen=True, slots=True)
class Peer:
    """A contestant, how many events it gets, what it promises, and the package whose version is told."""

    contestant: Contestant
    events: int
    guarantee: str
    package: str = ""


def peers(environments: Path) -> list[Peer]:
    """Return the worker first, then the others."""
    return [
        Peer(Contestant("worker", worker), 600_000, "exactly once"),
        Peer(Contestant("hand-written", module("benchmarks.contestants.handwritten")), 200_000, "exactly once"),
        Peer(_foreign("Bytewax", "bytewax", environments), 150_000, "at least once", "bytewax"),
        Peer(_foreign("Quix Streams", "quix", environments), 20_000, "exactly once", "quixstreams"),
        Peer(_foreign("Faust", "faust", environments), 40_000, "at least once", "faust-streaming"),
    ]


def _foreign(name: str, short: str, environments: Path) -> Contestant:
    def command(job: Job, _folder: Path) -> Sequence[str]:
        return [str(_python(environments, short)), str(_HERE / f"{short}_app.py"), job.to_json()]

    return Contestant(name, command, transactional=False, environment={"PYTHONPATH": str(_HERE)})


def _python(environments: Path, short: str) -> Path:
    """Return the Python of an environment, making it where it is missing."""
    home = environments / short
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        wanted = _HERE / "requirements" / f"{short}.txt"
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
    return python


def _version(environments: Path, short: str, package: str) -> str:
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    said = subprocess.run([str(_python(environments, short)), "-c", ask], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def main() -> None:
    """Race."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--name", default="peers", help="the file in results/")
    options = parser.parse_args()
    racing = [p for p in peers(options.environments) if not options.only or p.contestant.name in options.only]
    runs: dict[str, list[Run]] = {peer.contestant.name: [] for peer in racing}
    with running_broker() as broker, Topics(broker.bootstrap) as topics, tempfile.TemporaryDirectory() as folder:
        made = material.make(Path(folder) / "linear")
        pool = Path(folder) / "pool.json"
        write_pool(pool, predictions(made))
        sources = {peer.events: topics.create("input", PARTITIONS) for peer in racing}
        for events, source in sources.items():
            topics.fill(source, made.values, events, PARTITIONS)
        for turn in range(options.rounds):
            for peer in racing if turn % 2 == 0 else reversed(racing):
                job = Job(
                    bootstrap=broker.bootstrap, input=sources[peer.events], output="", dead_letters="", group="",
                    slot="", schema=str(made.schema), estimator=str(made.estimator), package=str(made.package),
                    transactional=True, pool=str(pool),
                )  # fmt: skip
                one = run(peer.contestant, job, topics, count=peer.events, partitions=PARTITIONS)
                runs[peer.contestant.name].append(one)
                print(f"  {turn + 1}/{options.rounds}  {peer.contestant.name:<14} {one.per_s:>9,.0f}/s", flush=True)
    ours = [one.per_s for one in runs.get("worker", [])]
    rows = []
    for peer in racing:
        rates = [one.per_s for one in runs[peer.contestant.name]]
        times = report.ratios(ours, rates, ".1f") if ours else "-"
        cpu = report.spread([one.cpu_us for one in runs[peer.contestant.name]], ".1f")
        rows.append([peer.contestant.name, peer.guarantee, report.spread(rates), times, cpu, f"{peer.events:,}"])
    shorts = {"bytewax": "bytewax", "quixstreams": "quix", "faust-streaming": "faust"}
    versions = {p.package: _version(options.environments, shorts[p.package], p.package) for p in racing if p.package}
    path = report.write(
        options.name,
        "Peers on the same events and model",
        report.machine(versions),
        f"{material.FEATURES} features, linear model, 0.1 kB, {PARTITIONS} partitions, one process; "
        f"{options.rounds} rounds in turns; median (least-greatest). Each peer decodes, scores and encodes with the "
        "same code (`benchmarks/peers/work.py`); Bytewax and Faust score in batches, Quix Streams has none.",
        report.table(_HEAD, rows),
    )
    print(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
