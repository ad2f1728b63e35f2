"""From produced to readable: how long until a `read_committed` reader has the prediction of an event.

    python -m benchmarks.latency --rates 1000 --name latency-1000     # one rate: under three minutes
    python -m benchmarks.latency --rates 1000 20000 --seconds 20 --rounds 5

Events are due at fixed times, and latency counts from when an event was due, so that a stall is not hidden by
a sender that waited for it. Sender and reader are one process that turns about once a millisecond. Where the
time goes is told by the worker's own metrics.
"""

from __future__ import annotations

import argparse
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import material, report
from benchmarks.arena import Arena, Workload, arena
from benchmarks.race import Contestant, addressed, module, running, worker_with
from benchmarks.turns import Turns
from tests.support.ports import free_ports

PARTITIONS = 4
QUANTILES = (0.5, 0.99, 0.999)
_WARM_UP_S = 3.0
_LATE_S = 20.0
_HEAD = ("events/s", "contestant", "rounds", "p50", "p99", "p99.9", "greatest", "over 100 ms", "over 200 ms")
_TRACE_HEAD = ("events/s", "contestant", "events a batch", "read", "step", "commit", "least interval")


@dataclass(frozen=True, slots=True)
class Trace:
    """What a batch was and took, on average of a run, in milliseconds."""

    records: float
    read_ms: float
    step_ms: float
    commit_ms: float
    interval_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Latencies in milliseconds of one run, and the worker's own account of it."""

    ms: NDArray[np.float64]
    trace: Trace | None


def contestants(port: int) -> dict[str, Contestant]:
    """Return who is measured; the copy is the floor that Kafka and the client set."""
    command = worker_with({"http": {"port": port}})
    every = (
        Contestant("worker", command, monitored=True),
        Contestant("worker-at-least-once", command, monitored=True, transactional=False),
        Contestant("copy", module("benchmarks.contestants.copy")),
    )
    return {one.name: one for one in every}


def measure(
    arena: Arena, contestant: Contestant, workload: Workload, *, rate: int, seconds: float, port: int
) -> Measured:
    """Send `rate` events a second for `seconds` after a warm-up, and return how long each answer took."""
    topics = arena.topics
    source, output = topics.create("input", PARTITIONS), topics.create("output", PARTITIONS)
    others = topics.create("dlq", 1), topics.create("monitoring", 1), topics.create("observations", 1)
    job = addressed(contestant, workload.job, source, output, others)
    with running(contestant, job):
        ms = _flow(job.bootstrap, source, output, workload.made.values, rate=rate, seconds=seconds)
        trace = None if contestant.name == "copy" else traced(port)
    topics.remove(source, output, *others)
    return Measured(ms, trace)


def traced(port: int) -> Trace:
    """Return what the worker on this port tells of its batches so far."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    found: dict[tuple[str, str], float] = {}
    for family in families:
        for sample in family.samples:
            found[sample.name, sample.labels.get("stage", "")] = sample.value

    def mean(name: str, stage: str = "") -> float:
        return found[f"{name}_sum", stage] / max(1.0, found[f"{name}_count", stage])

    stages = [mean("stream_infer_stage_duration_seconds", stage) for stage in ("read", "step", "commit")]
    read_ms, step_ms, commit_ms = (1000 * seconds for seconds in stages)
    interval_ms = 1000 * found["stream_infer_commit_interval_seconds", ""]
    return Trace(mean("stream_infer_batch_records"), read_ms, step_ms, commit_ms, interval_ms)


def _flow(
    bootstrap: str, source: str, output: str, values: Sequence[bytes], *, rate: int, seconds: float
) -> NDArray[np.float64]:
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 5, "queue.buffering.max.messages": 1_000_000}
    )
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"latency-{uuid.uuid4().hex[:8]}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    reader.assign([TopicPartition(output, partition, 0) for partition in range(PARTITIONS)])
    try:
        _until_answered(producer, reader, source, values[0])
        return _paced(producer, reader, source, values, rate=rate, seconds=seconds)
    finally:
        reader.close()
        producer.flush(10)


def _until_answered(producer: Producer, reader: Consumer, source: str, value: bytes) -> None:
    """Send one event to each partition until each has an answer: the contestant is up."""
    for partition in range(PARTITIONS):
        producer.produce(source, value, b"start", partition)
    producer.flush(10)
    deadline = time.monotonic() + 60
    answered = 0
    while answered < PARTITIONS:
        answered += len([m for m in reader.consume(PARTITIONS, 0.1) if m.error() is None])
        if time.monotonic() > deadline:
            raise RuntimeError("no answer within a minute")


def _paced(
    producer: Producer, reader: Consumer, source: str, values: Sequence[bytes], *, rate: int, seconds: float
) -> NDArray[np.float64]:
    count = int(rate * (seconds + _WARM_UP_S))
    latency = np.full(count, np.nan)
    sent = answered = 0
    began = time.monotonic()
    while answered < count:
        now = time.monotonic() - began
        due = min(count, int(now * rate) + 1)
        for index in range(sent, due):
            producer.produce(source, values[index % len(values)], b"%d" % index, index % PARTITIONS)
        sent = due
        producer.poll(0)
        messages = reader.consume(10_000, 0.001)
        now = time.monotonic() - began
        for message in messages:
            key = message.key()
            if message.error() is None and key is not None and key != b"start":
                index = int(key)
                latency[index] = now - index / rate
                answered += 1
        if now > seconds + _WARM_UP_S + _LATE_S:
            raise RuntimeError(f"{count - answered} of {count} events have no answer")
    return latency[int(rate * _WARM_UP_S) :] * 1000


def rows(rate: int, found: Mapping[str, list[Measured]]) -> Iterator[list[str]]:
    """Yield the latencies at one rate: medians of the rounds, with their spread."""
    for name, runs in found.items():
        columns = [
            *([float(np.quantile(run.ms, q)) for run in runs] for q in QUANTILES),
            [float(run.ms.max()) for run in runs],
        ]
        late = [100 * float(np.mean([(run.ms > limit).mean() for run in runs])) for limit in (100, 200)]
        yield [
            f"{rate:,}",
            name,
            str(len(runs)),
            *(report.spread(column, ".1f") for column in columns),
            *(f"{share:.2f} %" for share in late),
        ]


def traces(rate: int, found: Mapping[str, list[Measured]]) -> Iterator[list[str]]:
    """Yield where the time of a batch went at one rate."""
    for name, runs in found.items():
        told = [run.trace for run in runs if run.trace is not None]
        if told:
            columns = zip(
                *((t.records, t.read_ms, t.step_ms, t.commit_ms, t.interval_ms) for t in told), strict=True
            )
            yield [f"{rate:,}", name, *(report.spread(column, ".1f") for column in columns)]


def at(
    arena: Arena, workload: Workload, *, rate: int, options: argparse.Namespace, turns: Turns
) -> dict[str, list[Measured]]:
    """Measure every contestant in turns at one rate."""
    found: dict[str, list[Measured]] = {name: [] for name in options.contestants}
    for turn in turns:
        for name in options.contestants if turn % 2 == 0 else reversed(options.contestants):
            (port,) = free_ports(1)
            one = measure(
                arena, contestants(port)[name], workload, rate=rate, seconds=options.seconds, port=port
            )
            found[name].append(one)
            p50, p99 = np.quantile(one.ms, (0.5, 0.99))
            print(f"  {rate:>6}/s  {name:<22} p50 {p50:.1f}  p99 {p99:.1f} ms", flush=True)
    return found


def main() -> None:
    """Measure."""
    options = _options()
    table: list[list[str]] = []
    trace: list[list[str]] = []
    turns = Turns.asked_for(options)
    try:
        with arena() as here:
            workload = here.workload()
            for left, rate in zip(range(len(options.rates), 0, -1), options.rates, strict=True):
                found = at(here, workload, rate=rate, options=options, turns=turns.for_one_of(left))
                table += rows(rate, found)
                trace += traces(rate, found)
    finally:  # what was measured before an end by Ctrl-C or SIGTERM is worth telling
        _tell(options, table, trace)


def _tell(options: argparse.Namespace, table: list[list[str]], trace: list[list[str]]) -> None:
    if not table:
        return
    report.finish(
        options.name,
        "Latency: produced to readable by a read_committed reader",
        f"Milliseconds from when an event was due; {material.FEATURES} features, linear model, 0.1 kB, "
        f"{PARTITIONS} partitions, {options.seconds:.0f} s a run, {_WARM_UP_S:.0f} s to warm up; "
        "in turns. Median of the rounds (least-greatest). Broker, contestant and "
        "sender share the cores.",
        report.table(_HEAD, table),
        _spent(trace),
    )


def _spent(trace: list[list[str]]) -> str:
    if not trace:
        return ""
    return (
        "Where a batch spends its time (means of a run, ms). It begins no earlier than the least interval "
        "after the one before: an event waits for that, for the batch under way, and its own.\n\n"
        + report.table(_TRACE_HEAD, trace)
    )


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="latency", rounds=3)
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 1_000, 5_000, 20_000], help="a second")
    parser.add_argument("--seconds", type=float, default=12.0, help="of a run, after the warm-up")
    names = list(contestants(0))
    parser.add_argument("--contestants", nargs="+", default=names, choices=names)
    return parser.parse_args()


if __name__ == "__main__":
    main()
