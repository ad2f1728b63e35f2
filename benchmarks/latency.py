"""From produced to readable: how long until a `read_committed` reader has the prediction of an event.

    python -m benchmarks.latency
    python -m benchmarks.latency --rates 1000 20000 --seconds 20 --rounds 5

Events are due at fixed times, and latency counts from when an event was due, so that a stall is not hidden by
a sender that waited for it. Sender and reader are one process that turns about once a millisecond.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition
from numpy.typing import NDArray

from benchmarks import material, report
from benchmarks.job import Job, write_pool
from benchmarks.predictions import predictions
from benchmarks.race import Contestant, module, start, worker
from benchmarks.topics import Topics
from tests.kafka.broker import running_broker

PARTITIONS = 4
QUANTILES = (0.5, 0.99, 0.999)
_WARM_UP_S = 3.0
_LATE_S = 20.0


def contestants() -> list[Contestant]:
    """Return who is measured; the copy is the floor that Kafka and the client set."""
    return [
        Contestant("worker", worker),
        Contestant("worker, at least once", worker, transactional=False),
        Contestant("copy", module("benchmarks.contestants.copy")),
    ]


def measure(
    contestant: Contestant, job: Job, topics: Topics, values: Sequence[bytes], *, rate: int, seconds: float
) -> NDArray[np.float64]:
    """Return the latencies in milliseconds of all events after the warm-up."""
    source, output = topics.create("input", PARTITIONS), topics.create("output", PARTITIONS)
    letters = topics.create("dlq", 1)
    mine = Job(
        bootstrap=job.bootstrap, input=source, output=output, dead_letters=letters,
        group=f"latency.{uuid.uuid4().hex[:8]}.score", slot="s0", schema=job.schema, estimator=job.estimator,
        package=job.package, transactional=contestant.transactional, pool=job.pool,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        process = start(contestant, mine, Path(folder))
        try:
            found = _flow(job.bootstrap, source, output, values, rate=rate, seconds=seconds)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        topics.remove(source, output, letters)
    return found


def _flow(
    bootstrap: str, source: str, output: str, values: Sequence[bytes], *, rate: int, seconds: float
) -> NDArray[np.float64]:
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 0, "queue.buffering.max.messages": 1_000_000}
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
    producer.produce(source, value, b"start")
    producer.flush(10)
    deadline = time.monotonic() + 60
    while reader.poll(0.1) is None:
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


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 1_000, 5_000, 20_000])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="latency", help="the file in results/")
    options = parser.parse_args()
    rows: list[list[str]] = []
    with (
        running_broker() as broker,
        Topics(broker.bootstrap) as topics,
        tempfile.TemporaryDirectory() as folder,
    ):
        made = material.make(Path(folder) / "linear")
        pool = Path(folder) / "pool.json"
        write_pool(pool, predictions(made))
        job = Job(
            bootstrap=broker.bootstrap, input="", output="", dead_letters="", group="", slot="",
            schema=str(made.schema), estimator=str(made.estimator), package=str(made.package),
            transactional=True, pool=str(pool),
        )  # fmt: skip
        for rate in options.rates:
            found: dict[str, list[list[float]]] = {one.name: [] for one in contestants()}
            for turn in range(options.rounds):
                for one in contestants() if turn % 2 == 0 else reversed(contestants()):
                    ms = measure(one, job, topics, made.values, rate=rate, seconds=options.seconds)
                    found[one.name].append([*np.quantile(ms, QUANTILES).tolist(), float(ms.max())])
                    print(f"  {rate:>6}/s  {one.name:<24}", [round(x, 1) for x in found[one.name][-1]])
            for name, runs in found.items():
                columns = list(zip(*runs, strict=True))
                rows.append([f"{rate:,}", name, *(report.spread(column, ".1f") for column in columns)])
                print(f"{rate:>6}/s  {name:<24}", [round(statistics.median(c), 1) for c in columns])
    path = report.write(
        options.name,
        "Latency: produced to readable by a read_committed reader",
        report.machine(),
        f"Milliseconds from when an event was due; {material.FEATURES} features, linear model, 0.1 kB, "
        f"{PARTITIONS} partitions, {options.seconds:.0f} s a run after {_WARM_UP_S:.0f} s of warm-up, "
        f"{options.rounds} rounds in turns. Median of the rounds (least-greatest). Broker, contestant, "
        "sender and reader share the cores.",
        report.table(("events/s", "contestant", "p50", "p99", "p99.9", "greatest"), rows),
    )
    print(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
