"""A broker far away: renewals, latency and throughput at several round trips.

    python -m benchmarks.distance

A relay between worker and broker delivers everything late; sender and reader are near the broker. Latency is
that of `benchmarks.latency`. Throughput is that of events that were sent at once, from the first answer to
the last.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import report
from benchmarks.arena import Arena, Workload
from benchmarks.latency import PARTITIONS, _flow
from benchmarks.race import Contestant, addressed, running, worker_with
from benchmarks.topics import Topics
from tests.support.broker import Route, running_broker
from tests.support.ports import free_ports
from tests.support.relay import DelayingRelay

_LATE_S = 120.0
_HEAD = (
    "round trip", "p50", "in round trips", "without the first row", "p99", "events/s", "transactions",
    "renewals", "connections",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: latencies in milliseconds, events a second, and what the worker counted."""

    p50_ms: float
    p99_ms: float
    per_s: float
    transactions: float
    renewals: float
    connections: int


def measure(
    here: Arena, workload: Workload, route: Route, round_trip_s: float, options: argparse.Namespace
) -> Measured:
    """Run the worker behind a relay, first at a rate, then on a burst."""
    topics = here.topics
    source, output = topics.create("input", PARTITIONS), topics.create("output", PARTITIONS)
    others = topics.create("dlq", 1), topics.create("monitoring", 1), topics.create("observations", 1)
    [port] = free_ports(1)
    contestant = Contestant("worker", worker_with({"http": {"port": port}}))
    job = addressed(contestant, workload.job, source, output, others)
    values, near = workload.made.values, topics.bootstrap
    with (
        DelayingRelay(route.listen, route.upstream, round_trip_s=round_trip_s) as relay,
        running(contestant, replace(job, bootstrap=route.bootstrap)),
    ):
        ms = _flow(near, source, output, values, rate=options.rate, seconds=options.seconds)
        per_s = _burst(topics, source, output, values, options.burst)
        transactions, renewals = _counted(port)
        connections = relay.connections
    topics.remove(source, output, *others)
    p50, p99 = (float(np.quantile(ms, q)) for q in (0.5, 0.99))
    return Measured(p50, p99, per_s, transactions, renewals, connections)


def _burst(topics: Topics, source: str, output: str, values: Sequence[bytes], count: int) -> float:
    """Send `count` events at once; return how many were answered a second."""
    reader = Consumer(
        {
            "bootstrap.servers": topics.bootstrap,
            "group.id": f"burst-{uuid.uuid4().hex[:8]}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    places = [TopicPartition(output, partition) for partition in range(PARTITIONS)]
    for place in places:
        place.offset = reader.get_watermark_offsets(place, timeout=10)[1]
    reader.assign(places)
    topics.fill(source, values, count, PARTITIONS)
    answered, began, first = 0, time.monotonic(), 0.0
    while answered < count:
        came = sum(message.error() is None for message in reader.consume(10_000, 0.1))
        first = first or (time.monotonic() if came else 0.0)
        answered += came
        if time.monotonic() - began > _LATE_S:
            raise RuntimeError(f"{count - answered} of {count} events have no answer")
    reader.close()
    return count / (time.monotonic() - first)


def _counted(port: int) -> tuple[float, float]:
    """Return the worker's own count of committed transactions and of renewals."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    found = {(s.name, s.labels.get("result", "")): s.value for family in families for s in family.samples}
    committed = found["stream_infer_transactions_total", "committed"]
    return committed, found["stream_infer_producer_renewals_total", ""]


def row(round_trip_ms: int, one: Measured, near: Measured) -> list[str]:
    """Return the line of one round trip; `near` is the first run, without a way."""
    trips = [
        f"{ms / round_trip_ms:.1f}" if round_trip_ms else "-" for ms in (one.p50_ms, one.p50_ms - near.p50_ms)
    ]
    counts = (f"{one.transactions:.0f}", f"{one.renewals:.0f}", str(one.connections))
    latencies = (f"{one.p50_ms:.0f}", *trips, f"{one.p99_ms:.0f}")
    return [f"{round_trip_ms} ms", *latencies, f"{one.per_s:,.0f}", *counts]


def main() -> None:
    """Measure."""
    options = _options()
    table: list[list[str]] = []
    with (
        running_broker() as broker,
        Topics(broker.bootstrap) as topics,
        tempfile.TemporaryDirectory(prefix="stream-infer-benchmark-") as folder,
    ):
        if broker.route is None:
            raise SystemExit("the broker that was given advertises no address for a relay")
        here = Arena(topics, Path(folder))
        workload = here.workload()
        found: dict[int, Measured] = {}
        for round_trip_ms in (0, *options.round_trips):
            found[round_trip_ms] = measure(here, workload, broker.route, round_trip_ms / 1000, options)
            table.append(row(round_trip_ms, found[round_trip_ms], found[0]))
            print("  ".join(table[-1]), flush=True)
    report.finish(
        options.name,
        "Distance: a worker behind a relay that delivers late",
        f"{options.rate} events a second for {options.seconds:.0f} s, latency in milliseconds from when an "
        f"event was due to a reader near the broker; then {options.burst:,} events at once. Transactions, "
        "renewals of the producer and connections are of the whole run, its start included. Five round "
        "trips are what the protocol asks for: one for the fetch, three for a transaction, and half of "
        "the three until the transaction before has ended, less the half of the last answer, which the "
        "reader does not wait for. The rest is what the worker takes at 0 ms too, in the first row.",
        report.table(_HEAD, table),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="distance", help="the file in benchmarks/results")
    parser.add_argument("--round-trips", type=int, nargs="+", default=[30, 60, 90, 150], help="ms")
    parser.add_argument("--rate", type=int, default=200, help="events a second")
    parser.add_argument("--seconds", type=float, default=12.0, help="of the rate, after the warm-up")
    parser.add_argument("--burst", type=int, default=50_000, help="events")
    return parser.parse_args()


if __name__ == "__main__":
    main()
