"""What replacing a model costs those who wait for predictions, and how much memory it takes.

    python -m benchmarks.swap
    python -m benchmarks.swap --model large-forest --parts memory --swaps 30 --name swap-memory

One worker whose model comes from a store, in two packages that are the same but for their version.

- latency: a while without swaps, one with a swap a second, and one with packages seen for the first time, one
  right after the other, which are rehearsed beside the stream; in turns.
- memory: a hundred swaps, with memory, threads and open files after the fifth and after the last; rollbacks.

Latency counts from when an event was due to when a `read_committed` reader has its prediction. Broker,
worker, rehearsals, sender and reader share the cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import numpy as np
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition
from numpy.typing import NDArray

from benchmarks import material, report
from benchmarks.arena import Arena, arena
from benchmarks.race import Process
from benchmarks.turns import Turns
from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader
from stream_infer.models.package import verify, write_package
from stream_infer.store.model_store import ModelStore, Request

PARTITIONS = 4
SWAP_EVERY_S = 1.0
FIRST_TIME = 5
ROLLBACKS = 5
FEW = 5
_WARM_UP_S = 2.0
_TRICKLE_PER_S = 200
_WITHIN_S = 60.0
_SAMPLE_EVERY_S = 0.005
_MB = 2**20
_LATENCY, _MEMORY = "latency", "memory"

Quantiles = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the worker takes up: resident bytes, threads, open files."""

    resident: int
    threads: int
    files: int


@dataclass(slots=True)
class Found:
    """What was measured with one model: latencies and durations in milliseconds, sizes in bytes."""

    package_bytes: int = 0
    quiet: list[Quantiles] = field(default_factory=list)
    swapping: list[Quantiles] = field(default_factory=list)
    swaps_ms: list[float] = field(default_factory=list)
    first: list[Quantiles] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    rollbacks_ms: list[float] = field(default_factory=list)
    resting: int = 0
    peak: int = 0
    after_few: Footprint | None = None
    after_many: Footprint | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One worker, its topics and its store."""

    source: str
    events: Consumer
    reader: Consumer
    producer: Producer
    store: ModelStore
    worker: psutil.Process

    def serve(self, package: str) -> float:
        """Make the package of that name in the store desired, and return the ms until it is announced."""
        return self._until_announced(
            lambda: self.store.promote(Path(package), Request("benchmark")).generation
        )

    def roll_back(self) -> float:
        """Go back to the package before, and return the ms until that is announced."""
        return self._until_announced(lambda: self.store.rollback(Request("benchmark")).generation)

    def footprint(self) -> Footprint:
        """Return what the worker takes up now."""
        return Footprint(self.worker.memory_info().rss, self.worker.num_threads(), self.worker.num_fds())

    def _until_announced(self, wish: Callable[[], int]) -> float:
        generation = wish()
        began = time.monotonic()
        while True:
            message = self.events.poll(0.5)
            if message is not None and message.error() is None:
                said = _EVENTS.read(message.value() or b"")
                if said["type"] == "model.activated" and said["model"]["generation"] == generation:
                    return (time.monotonic() - began) * 1000
                if said["type"] == "model.rejected":
                    raise RuntimeError(said["summary"])
            if time.monotonic() - began > _WITHIN_S:
                raise RuntimeError(f"generation {generation} is not announced")


_EVENTS = RecordReader(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE)


def flow(
    stage: Stage, values: Sequence[bytes], *, rate: int, seconds: float, beside: Callable[[], None]
) -> NDArray[np.float64]:
    """Send `rate` events a second while `beside` runs in a thread, at least for `seconds`.

    Returns the latencies (ms) of all events after the warm-up.
    """
    other = threading.Thread(target=beside, name="beside", daemon=True)
    other.start()
    began, due_s, sent = time.monotonic(), [], 0
    latency: dict[int, float] = {}
    end_s: float | None = None
    while end_s is None or len(latency) < sent:
        now = time.monotonic() - began
        if end_s is None and now > seconds + _WARM_UP_S and not other.is_alive():
            end_s = now
        due = sent if end_s is not None else int(now * rate) + 1
        for index in range(sent, due):
            stage.producer.produce(
                stage.source, values[index % len(values)], b"%d" % index, index % PARTITIONS
            )
            due_s.append(index / rate)
        sent = due
        stage.producer.poll(0)
        messages = stage.reader.consume(10_000, 0.001)
        now = time.monotonic() - began
        for message in messages:
            key = message.key()
            if message.error() is None and key is not None:
                latency[int(key)] = now - due_s[int(key)]
        if end_s is not None and now > end_s + _WITHIN_S:
            raise RuntimeError(f"{sent - len(latency)} of {sent} events have no answer")
    other.join()
    return np.asarray([1000 * latency[index] for index in range(int(rate * _WARM_UP_S), sent)])


def quantiles(latency_ms: NDArray[np.float64]) -> Quantiles:
    """Return median, 99th and 99.9th percentile, and the greatest."""
    p50, p99, p999 = np.quantile(latency_ms, (0.5, 0.99, 0.999)).tolist()
    return p50, p99, p999, float(latency_ms.max())


@contextmanager
def peak_of(process: psutil.Process) -> Iterator[list[int]]:
    """Sample the resident bytes of `process` while the block runs; the list holds the greatest."""
    enough, greatest = threading.Event(), [0]

    def sample() -> None:
        while not enough.wait(_SAMPLE_EVERY_S):
            greatest[0] = max(greatest[0], process.memory_info().rss)

    sampler = threading.Thread(target=sample, name="sampler", daemon=True)
    sampler.start()
    try:
        yield greatest
    finally:
        enough.set()
        sampler.join()


def versions(made: material.Material, folder: Path) -> Iterator[str]:
    """Put the package into the store at `folder` again and again, each time under another version."""
    verified = verify(made.package)
    for number in count(1):
        name = f"{verified.manifest.name}-{number}"
        write_package(folder / name, replace(verified.manifest, version=f"{number}.0.0"), verified.files)
        yield name


def measure(
    stage: Stage, made: material.Material, names: Iterator[str], options: argparse.Namespace
) -> Found:
    """Go through all that the module's docstring lists."""
    found = Found(package_bytes=sum(f.stat().st_size for f in made.package.rglob("*") if f.is_file()))
    rate, seconds = options.rate, options.seconds
    one, two = next(names), next(names)

    def serve(*wanted: str) -> Callable[[], None]:
        return lambda: found.first_ms.extend(stage.serve(name) for name in wanted)

    def swap() -> None:
        began = time.monotonic()
        for turn in range(int(seconds / SWAP_EVERY_S)):
            found.swaps_ms.append(stage.serve((one, two)[turn % 2]))
            time.sleep(max(0.0, began + (turn + 1) * SWAP_EVERY_S - time.monotonic()))

    def rest() -> None:
        """Leave the worker alone."""

    flow(stage, made.values, rate=rate, seconds=0.0, beside=serve(one, two))
    found.first_ms.clear()
    if _LATENCY in options.parts:
        for turn in Turns.asked_for(options):
            new = serve(*(next(names) for _ in range(FIRST_TIME)))
            phases = (
                (found.quiet, rest, seconds), (found.swapping, swap, seconds), (found.first, new, 0.0)
            )  # fmt: skip
            for into, beside, least_s in phases[:: 1 if turn % 2 == 0 else -1]:
                into.append(quantiles(flow(stage, made.values, rate=rate, seconds=least_s, beside=beside)))
    if _MEMORY in options.parts:
        _many(stage, made, found, (one, two), options.swaps)
    return found


def _many(stage: Stage, made: material.Material, found: Found, pair: tuple[str, str], swaps: int) -> None:
    """Roll back a few times, then swap many times, with few events: somebody has to be answered."""

    def beside() -> None:
        stage.serve(pair[0])
        found.rollbacks_ms.extend(stage.roll_back() for _ in range(ROLLBACKS))
        found.resting = stage.footprint().resident
        for turn in range(swaps):
            with peak_of(stage.worker) as greatest:
                stage.serve(pair[turn % 2])
            found.peak = max(found.peak, greatest[0])
            if turn + 1 == FEW:
                found.after_few = stage.footprint()
        found.after_many = stage.footprint()

    flow(stage, made.values, rate=_TRICKLE_PER_S, seconds=0.0, beside=beside)


@contextmanager
def on_stage(stands: Arena, made: material.Material, store: Path, first: str) -> Iterator[Stage]:
    """Run one worker on new topics with the packages in `store`, and the one of the name `first` desired."""
    topics, name = stands.topics, f"swap.{uuid.uuid4().hex[:8]}"
    named = {each: topics.create(each, size) for each, size in _TOPICS.items()}
    models = ModelStore(store, name)
    models.promote(Path(first), Request("benchmark"))
    config = store.parent / "worker.toml"
    config.write_text(
        _CONFIG.format(name=name, servers=topics.bootstrap, schema=made.schema, store=store, **named), "utf-8"
    )
    producer = Producer({"bootstrap.servers": topics.bootstrap, "linger.ms": 0})
    reader = _reader(topics.bootstrap, named["output"], PARTITIONS)
    events = _reader(topics.bootstrap, named["events"], 1)
    command = [sys.executable, "-m", "stream_infer.cli.main", "run", "-c", str(config)]
    process = Process(command, {**os.environ, "OMP_NUM_THREADS": "1"}, config.with_suffix(".log"))
    try:
        stage = Stage(named["input"], events, reader, producer, models, psutil.Process(process.pid))
        _until_answered(stage, made.values[0], process)
        yield stage
        process.check_alive()
    finally:
        process.end()
        reader.close()
        events.close()
        topics.remove(*named.values())


_TOPICS = {
    "input": PARTITIONS, "output": PARTITIONS, "dlq": 1, "events": 1, "seen": 1, "state": 1, "status": 1,
}  # fmt: skip
_CONFIG = """pipeline = "{name}"
[kafka]
"bootstrap.servers" = "{servers}"
[input]
topics = ["{input}"]
schema = "{schema}"
[output]
topic = "{output}"
[dlq]
topic = "{dlq}"
[monitoring]
topic = "{events}"
observations_topic = "{seen}"
state_topic = "{state}"
[model]
store = "{store}"
status_topic = "{status}"
[worker]
slot = "s0"
[http]
port = 0
"""


def _reader(bootstrap: str, topic: str, partitions: int) -> Consumer:
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"swap-{uuid.uuid4().hex[:8]}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    reader.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    return reader


def _until_answered(stage: Stage, value: bytes, worker: Process) -> None:
    """Send one event and wait for its answer: the worker is up."""
    stage.producer.produce(stage.source, value, b"0", 0)
    stage.producer.flush(10)
    deadline = time.monotonic() + _WITHIN_S
    while stage.reader.poll(0.1) is None:
        worker.check_alive()
        if time.monotonic() > deadline:
            raise RuntimeError("no answer within a minute")


def _latency(found: Found) -> Iterator[str]:
    if not found.quiet:
        return
    rows = [
        _latency_row("no swaps", found.quiet, []),
        _latency_row(f"one swap every {SWAP_EVERY_S:g} s", found.swapping, found.swaps_ms),
        _latency_row(f"{FIRST_TIME} first-time swaps", found.first, found.first_ms),
    ]
    yield report.table(("phase", "p50", "p99", "p99.9", "greatest", "swap, ms"), rows)
    yield (
        f"p99 less that of the same round without swaps: {_excess(found.swapping, found)} with one every "
        f"{SWAP_EVERY_S:g} s, {_excess(found.first, found)} with {FIRST_TIME} first-time swaps."
    )


def _excess(runs: Sequence[Quantiles], found: Found) -> str:
    return report.spread(
        [with_[1] - quiet[1] for quiet, with_ in zip(found.quiet, runs, strict=True)], "+.1f"
    )


def _latency_row(what: str, runs: Sequence[Quantiles], took: Sequence[float]) -> list[str]:
    columns = [report.spread(column, ".1f") for column in zip(*runs, strict=True)]
    return [what, *columns, report.spread(took)]


def _memory(found: Found, swaps: int) -> Iterator[str]:
    few, many = found.after_few, found.after_many
    if few is None or many is None:
        return
    yield (
        f"Memory of the worker in MB, sampled every {_SAMPLE_EVERY_S * 1000:g} ms over {swaps} swaps at "
        f"{_TRICKLE_PER_S} events/s. Rehearsals take theirs in a process of their own. {ROLLBACKS} rollbacks "
        f"took {report.spread(found.rollbacks_ms)} ms."
    )
    row = [
        f"{found.package_bytes / _MB:.2f}",
        f"{found.resting / _MB:.0f}",
        f"{found.peak / _MB:.0f}",
        f"{few.resident / _MB:.0f}",
        f"{many.resident / _MB:.0f} ({many.resident / few.resident - 1:+.1%})",
        f"{few.threads} / {many.threads}",
        f"{few.files} / {many.files}",
    ]
    head = "package", "before", "peak in a swap", f"after {FEW}", f"after {swaps}", "threads", "open files"
    yield report.table(head, [row])


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="swap", rounds=3)
    parser.add_argument("--model", choices=list(material.MODELS), default="linear")
    parser.add_argument("--parts", nargs="+", choices=[_LATENCY, _MEMORY], default=[_LATENCY, _MEMORY])
    parser.add_argument("--swaps", type=int, default=100, help="of which memory is taken (default 100)")
    parser.add_argument("--rate", type=int, default=1_000, help="events a second (default 1000)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run (default 8)")
    return parser.parse_args()


def main() -> None:
    """Measure."""
    options = _options()
    with arena() as stands:
        made = stands.workload(model=options.model).made
        store = stands.folder / "stage" / "models"
        store.mkdir(parents=True)
        names = versions(made, store)
        with on_stage(stands, made, store, next(names)) as stage:
            found = measure(stage, made, names, options)
    report.finish(
        options.name,
        "Replacing a model while it runs",
        f"{options.model} model, {options.rate:,} events/s, {material.FEATURES} features, {PARTITIONS} "
        f"partitions; {len(found.quiet)} rounds in turns, of {options.seconds:g} s or as long as first-time "
        f"swaps take, after {_WARM_UP_S:g} s of warm-up; median (least-greatest). Latency in ms, from when "
        "an event was due to when its prediction was read; a batch is at least the commit interval of 20 ms. "
        "A swap is from the promotion to the announcement read: up to half a second of it is the next look "
        "into the store.",
        *_latency(found),
        *_memory(found, options.swaps),
    )


if __name__ == "__main__":
    main()
