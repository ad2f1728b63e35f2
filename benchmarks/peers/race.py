"""The worker and its peers on the same events and model, each peer in an environment of its own.

    python -m benchmarks.peers.race --environments DIR
    python -m benchmarks.peers.race --environments DIR --only worker bytewax --rounds 5

An environment that is missing is made with `venv` and pip, from `requirements/` (a minute each). Peers are
slower, and get as large a share of the events as they answer in some ten seconds: a round takes about 90 s.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import fastavro

from benchmarks import material, report
from benchmarks.arena import Arena, Workload, arena
from benchmarks.job import Job
from benchmarks.race import Contestant, Run, in_turns, module, run, worker

PARTITIONS = 4
_HERE = Path(__file__).parent
_HEAD = ("contestant", "guarantee", "events/s", "worker is times as fast", "CPU us/event", "MB", "events")


@dataclass(frozen=True, slots=True)
class Peer:
    """A contestant, what it promises, the package whose version is told, and whether it reads JSON."""

    contestant: Contestant
    guarantee: str
    package: str = ""
    json: bool = False


def peers(environments: Path) -> dict[str, Peer]:
    """Return the worker first, then the others."""
    handwritten = module("benchmarks.contestants.handwritten")
    every = [
        Peer(Contestant("worker", worker, monitored=True), "exactly once"),
        Peer(Contestant("hand-written", handwritten, share=0.2), "exactly once"),
        Peer(_foreign("bytewax", environments, share=0.15), "at least once", "bytewax"),
        Peer(_foreign("quix", environments, share=0.02), "exactly once", "quixstreams"),
        Peer(_foreign("faust", environments, share=0.02), "at least once", "faust-streaming"),
        Peer(_foreign("mlserver", environments, share=0.003), "none", "mlserver", json=True),
    ]
    return {peer.contestant.name: peer for peer in every}


def _foreign(name: str, environments: Path, *, share: float) -> Contestant:
    def command(job: Job, _folder: Path) -> Sequence[str]:
        return [str(python_of(environments, name)), str(_HERE / f"{name}_app.py"), job.to_json()]

    return Contestant(name, command, transactional=False, share=share, environment={"PYTHONPATH": str(_HERE)})


def python_of(environments: Path, name: str) -> Path:
    """Return the Python of a peer's environment, making it where it is missing."""
    home = environments.absolute() / name
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    done = home / "complete"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        wanted = _HERE / "requirements" / f"{name}.txt"
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
        done.touch()
    return python


def _version(environments: Path, peer: Peer) -> str:
    ask = f"from importlib.metadata import version; print(version({peer.package!r}))"
    command = [str(python_of(environments, peer.contestant.name)), "-c", ask]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def inference_requests(workload: Workload) -> Iterator[bytes]:
    """Yield the events as MLServer's own requests, in the Open Inference Protocol."""
    schema = fastavro.parse_schema(json.loads(workload.made.schema.read_text("utf-8")))
    for value in workload.made.values:
        event = fastavro.schemaless_reader(io.BytesIO(value), schema, None)
        data = [event[name] for name in workload.made.features]
        tensor = {"name": "x", "shape": [1, len(data)], "datatype": "FP64", "data": data}
        request = {"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}
        yield json.dumps(request).encode()


def race(arena: Arena, racing: Sequence[Peer], *, events: int, rounds: int) -> dict[str, list[Run]]:
    """Run all in turns."""
    workload = arena.workload()
    requests = list(inference_requests(workload))
    json_readers = {peer.contestant.name for peer in racing if peer.json}

    def go(one: Contestant) -> Run:
        count = int(events * one.share)
        if one.name in json_readers:
            headers = [("mlserver-model", b"linear")]
            source = arena.backlog("json", requests, count, PARTITIONS, headers=headers)
        else:
            source = arena.backlog("avro", workload.made.values, count, PARTITIONS)
        job = replace(workload.job, input=source)
        return run(one, job, arena.topics, count=count, partitions=PARTITIONS)

    return dict(in_turns([peer.contestant for peer in racing], go, rounds))


def rows(racing: Sequence[Peer], runs: dict[str, list[Run]], *, events: int) -> Iterator[list[str]]:
    """Yield the lines of the table."""
    ours = [one.per_s for one in runs.get("worker", [])]
    for peer in racing:
        of = runs[peer.contestant.name]
        rates = [one.per_s for one in of]
        yield [
            peer.contestant.name,
            peer.guarantee,
            report.spread(rates),
            report.ratios(ours, rates, ".1f") if ours else "-",
            report.spread([one.cpu_us for one in of], ".1f"),
            report.spread([one.resident_mb for one in of]),
            f"{int(events * peer.contestant.share):,}",
        ]


def main() -> None:
    """Race."""
    options = _options()
    every = peers(options.environments)
    racing = [every[name] for name in options.only or every]
    versions = {peer.package: _version(options.environments, peer) for peer in racing if peer.package}
    with arena() as here:
        runs = race(here, racing, events=options.events, rounds=options.rounds)
    report.finish(
        options.name,
        "Peers on the same events and model",
        f"{material.FEATURES} features, linear model, 0.1 kB, {PARTITIONS} partitions, one process; "
        f"{options.rounds} rounds in turns; median (least-greatest). Each peer decodes, scores and encodes "
        "with the same code (`benchmarks/peers/work.py`), Bytewax and Faust in batches, Quix Streams one by "
        "one, as it has none; MLServer reads and writes its own JSON, with its own scikit-learn runtime.",
        report.table(_HEAD, list(rows(racing, runs, events=options.events))),
        more=versions,
    )


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="peers", rounds=3)
    parser.add_argument("--environments", type=Path, required=True, help="where peers are installed")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the worker; peers get a share")
    parser.add_argument("--only", nargs="+", default=[], choices=list(peers(Path())))
    return parser.parse_args()


if __name__ == "__main__":
    main()
