"""The worker and its peers on the same events and model, each peer in an environment of its own.

    python -m benchmarks.peers.race
    python -m benchmarks.peers.race --only worker bytewax --rounds 5

An environment that is missing is made with `venv` and pip, from `requirements/` (a minute each). Peers are
slower, and get as large a share of the events as they answer in some ten seconds: a round takes about 90 s.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import fastavro

from benchmarks import material, report
from benchmarks.arena import Arena, Workload, arena
from benchmarks.job import Job
from benchmarks.race import Contestant, Run, addressed, in_turns, module, run, running, worker
from benchmarks.turns import Turns

PARTITIONS = 4
_HERE = Path(__file__).parent
_HEADERS = [("mlserver-model", b"linear")]
_TICK_S = 0.25
_SETTLE_S = 3.0
_WITHIN_S = 60.0
_HEAD = (
    "contestant",
    "guarantee",
    "rounds",
    "events/s",
    "worker is times as fast",
    "CPU us/event",
    "times the worker's",
    "MB",
    "events",
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A contestant, what it promises, and the package whose version is told.

    One that is `live` reads only what comes while it runs, and MLServer's JSON.
    """

    contestant: Contestant
    guarantee: str
    package: str = ""
    live: bool = False


def peers(environments: Path) -> dict[str, Peer]:
    """Return the worker first, then the others."""
    handwritten = module("benchmarks.contestants.handwritten")
    every = [
        Peer(Contestant("worker", worker, monitored=True), "exactly once"),
        Peer(Contestant("hand-written", handwritten, share=0.2), "exactly once"),
        Peer(_foreign("bytewax", environments, share=0.15), "at least once", "bytewax"),
        Peer(_foreign("quix", environments, share=0.01), "exactly once", "quixstreams"),
        Peer(_foreign("faust", environments, share=0.02), "at least once", "faust-streaming"),
        Peer(_foreign("mlserver", environments, share=0.003), "none", "mlserver", live=True),
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


def race(arena: Arena, racing: Sequence[Peer], *, events: int, turns: Turns) -> dict[str, list[Run]]:
    """Run all in turns."""
    workload = arena.workload()
    requests = list(inference_requests(workload))
    live = {peer.contestant.name for peer in racing if peer.live}

    def go(one: Contestant) -> Run:
        count = int(events * one.share)
        if one.name in live:
            return run_live(arena, one, workload.job, requests, count)
        source = arena.backlog("events", workload.made.values, count, PARTITIONS)
        job = replace(workload.job, input=source)
        return run(one, job, arena.topics, count=count, partitions=PARTITIONS)

    return dict(in_turns([peer.contestant for peer in racing], go, turns))


def run_live(arena: Arena, contestant: Contestant, job: Job, requests: Sequence[bytes], count: int) -> Run:
    """Send `count` requests to one that is up, and measure from the first sent to the last answered.

    It has no group to ask and may pass over what came before it was ready: it is up when it answers.
    """
    topics = arena.topics
    source = topics.create("input", PARTITIONS)
    output = topics.create("output", PARTITIONS, broker_time=True)
    others = topics.create("dlq", 1), topics.create("monitoring", 1), topics.create("observations", 1)
    began_s = time.time()
    with running(contestant, addressed(contestant, job, source, output, others)) as (process,):

        def until(reached: Callable[[int], bool]) -> int:
            deadline = time.monotonic() + _WITHIN_S
            while not reached(end := topics.end(output)):
                process.check_alive()
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{contestant.name}: {end} answers")
                time.sleep(_TICK_S)
            return end

        def knocked(end: int) -> bool:
            if end == 0:
                topics.fill(source, requests, PARTITIONS, PARTITIONS, headers=_HEADERS)
            return end > 0

        until(knocked)
        time.sleep(_SETTLE_S)
        before = topics.end(output)
        first_s, cpu_s = time.time(), process.cpu_s
        topics.fill(source, requests, count, PARTITIONS, headers=_HEADERS)
        until(lambda end: end >= before + count)
        cpu_s, resident_mb = process.cpu_s - cpu_s, process.resident_mb
    times_ms = topics.read(output)
    topics.remove(source, output, *others)
    if len(times_ms) != before + count:
        raise RuntimeError(f"{contestant.name}: {len(times_ms) - before} answers to {count} requests")
    taken_s = float(times_ms[-1]) / 1000 - first_s
    return Run(count / taken_s, cpu_s / count * 1e6, resident_mb, float(times_ms[0]) / 1000 - began_s)


def rows(racing: Sequence[Peer], runs: dict[str, list[Run]], *, events: int) -> Iterator[list[str]]:
    """Yield the lines of the table."""
    ours = runs.get("worker", [])
    for peer in racing:
        of = runs[peer.contestant.name]
        rates, cpu = [one.per_s for one in of], [one.cpu_us for one in of]
        yield [
            peer.contestant.name,
            peer.guarantee,
            str(len(of)),
            report.spread(rates),
            report.ratios([one.per_s for one in ours], rates, ".1f") if ours else "-",
            report.spread(cpu, ".1f"),
            report.ratios(cpu, [one.cpu_us for one in ours], ".1f") if ours else "-",
            report.spread([one.resident_mb for one in of]),
            f"{int(events * peer.contestant.share):,}",
        ]


def main() -> None:
    """Race."""
    options = _options()
    every = peers(options.environments)
    racing = [every[name] for name in options.only or every]
    versions = {peer.package: _version(options.environments, peer) for peer in racing if peer.package}
    turns = Turns.asked_for(options)
    with arena() as here:
        runs = race(here, racing, events=options.events, turns=turns)
    report.finish(
        options.name,
        "Peers on the same events and model",
        f"{material.FEATURES} features, linear model, 0.1 kB, {PARTITIONS} partitions, one process; "
        "in turns; median of the rounds (least-greatest). Each peer decodes, scores and encodes "
        "with the same code (`benchmarks/peers/work.py`), Bytewax and Faust in batches, Quix Streams one by "
        "one, as it has none; MLServer reads and writes its own JSON with its own runtime; its time runs "
        "from the first event sent to it, as it reads no backlog.",
        report.table(_HEAD, list(rows(racing, runs, events=options.events))),
        more=versions,
    )


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="peers", rounds=3)
    parser.add_argument(
        "--environments", type=Path, default=Path(".peers"), help="where peers are installed (default .peers)"
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="of the worker; peers get a share")
    parser.add_argument("--only", nargs="+", default=[], choices=list(peers(Path())))
    return parser.parse_args()


if __name__ == "__main__":
    main()
