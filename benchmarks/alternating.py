"""What an event costs in the worker and in a bare copy, in turns of a second within one process.

    python -m benchmarks.alternating
    python -m benchmarks.alternating --contestants copy copy-large-batches worker worker-unmonitored

For machines that are not quiet: where one run after another differs by a third, a ratio of turns that follow
each other does not. Each contestant has a consumer, a producer and a group of its own and reads one backlog
over and over; one of them moves at a time. The worker is its loop with session, step and pace; what `run` has
around it (probes, the log) moves once a batch and is left out. How fast whole processes are is for
`benchmarks.throughput`.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace

from confluent_kafka import TopicPartition

from benchmarks import material, report
from benchmarks.arena import Arena, Workload, arena
from benchmarks.contestants.copy import copies, open_clients
from benchmarks.job import BATCH, LARGE_BATCH, Job
from benchmarks.predictions import step_of
from benchmarks.race import addressed
from benchmarks.throughput import CONTESTANTS, PARTITIONS
from benchmarks.turns import Turns
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.drift.reference import parse_reference
from stream_infer.flow.events import BatchCommitted, Event
from stream_infer.flow.records import Channel, Cursor, Partition, Span
from stream_infer.kafka.at_least_once import AtLeastOnce
from stream_infer.kafka.client import Properties
from stream_infer.kafka.membership import SessionSettings
from stream_infer.kafka.offsets import OnLostOffset, StartOffsets
from stream_infer.kafka.publish import Publisher
from stream_infer.kafka.session import Session
from stream_infer.kafka.topic_ids import TopicIds, asking
from stream_infer.kafka.transactions import Transactions
from stream_infer.models.package import verify
from stream_infer.runtime.gc_schedule import between_batches
from stream_infer.runtime.loop import run
from stream_infer.runtime.malloc import keep_freed_memory
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.steps.observing.observe import Observe

NAMES = (
    "copy", "copy-large-batches", "copy-at-least-once", "worker", "worker-unmonitored", "worker-at-least-once"
)  # fmt: skip
_PAIRS = (
    ("worker", "copy"),
    ("worker", "copy-large-batches"),
    ("worker-unmonitored", "copy"),
    ("worker", "worker-unmonitored"),
    ("worker", "worker-at-least-once"),
    ("worker-at-least-once", "copy-at-least-once"),
)
_JOIN_WITHIN_S = 60.0
# Of each turn: what lies ready from the turn before, and batches that are still growing, do not count.
_UNCOUNTED_SHARE = 0.3

Turn = Callable[[int], float]
"""Goes through a number of events from the beginning of the backlog; returns microseconds an event."""


@dataclass(slots=True)
class _Clock:
    """Takes the time of the later batches of a turn of `events`."""

    events: int
    seen: int = 0
    since: tuple[float, int] | None = None

    def batch(self, records: int) -> bool:
        """Take note of a batch; return whether the turn is over."""
        self.seen += records
        if self.since is None and self.seen >= _UNCOUNTED_SHARE * self.events:
            self.since = time.perf_counter(), self.seen
        return self.seen >= self.events

    @property
    def us(self) -> float:
        """Microseconds an event."""
        if self.since is None:
            raise RuntimeError("no batch has come")
        began, seen = self.since
        return (time.perf_counter() - began) / (self.seen - seen) * 1e6


@contextmanager
def _copy(job: Job) -> Iterator[Turn]:
    consumer, producer = open_clients(job)
    batches = copies(job, consumer, producer)
    with closing(consumer), closing(batches):
        next(batches)

        def turn(events: int) -> float:
            for index in range(PARTITIONS):
                consumer.seek(TopicPartition(job.input, index, 0))
            clock = _Clock(events)
            while not clock.batch(next(batches)):
                pass
            return clock.us

        yield turn


@contextmanager
def _worker(job: Job, made: material.Material) -> Iterator[Turn]:
    channels = {Channel.PREDICTIONS: job.output, Channel.DEAD_LETTERS: job.dead_letters}
    observe = None
    if job.monitoring:
        channels |= {Channel.EVENTS: job.monitoring, Channel.OBSERVATIONS: job.observations}
        reference = parse_reference(verify(made.package).files["reference.json"])
        frames = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
        observe = Observe("benchmark", frames, lambda _model: reference)
    settings = SessionSettings({**job.consumer, "auto.offset.reset": "error"}, [job.input], channels)
    logger = logging.getLogger("benchmark")
    start = StartOffsets("earliest", OnLostOffset.HALT)
    session = Session(
        settings,
        _publisher(job, logger),
        start,
        TopicIds(
            asking(Properties({"bootstrap.servers": job.consumer["bootstrap.servers"]})),
            [job.input],
            stopping=_never,
        ),
        stopping=_never,
        observe=_ignore,
        logger=logger,
    )
    step, pace = step_of(made, observe=observe), Pace(Pacing())
    everything = Cursor({Partition(job.input, index): Span(0, 0) for index in range(PARTITIONS)})
    with closing(session):
        session.open()
        deadline = time.monotonic() + _JOIN_WITHIN_S
        while session.read(1, 0.1) is None:
            if time.monotonic() > deadline:
                raise RuntimeError("the group did not settle")

        def turn(events: int) -> float:
            session.rewind(everything)
            clock, stop = _Clock(events), Stop()

            def note(event: Event) -> None:
                if isinstance(event, BatchCommitted) and clock.batch(event.records):
                    stop.request()

            run(session, step, session, stop=stop, pace=pace, observe=note)
            return clock.us

        yield turn


def _publisher(job: Job, logger: logging.Logger) -> Publisher:
    if not job.transactional:
        return AtLeastOnce(job.producer, logger=logger)
    return Transactions(job.producer, stopping=_never, observe=_ignore, logger=logger)


def _never() -> bool:
    return False


def _ignore(_event: Event, /) -> None:
    """Take no note."""


def _contestant(name: str, here: Arena, workload: Workload, source: str, stack: ExitStack) -> Turn:
    contestant = CONTESTANTS[name]
    topics = here.topics
    others = topics.create("dlq", 1), topics.create("monitoring", 1), topics.create("observations", 1)
    output = topics.create("output", PARTITIONS)
    job = addressed(contestant, replace(workload.job, slot=name), source, output, others)
    of = _copy(job) if name.startswith("copy") else _worker(job, workload.made)
    return stack.enter_context(of)


def measure(names: Sequence[str], events: int, turns: Turns) -> Mapping[str, list[float]]:
    """Return the microseconds an event of each contestant in each round."""
    took: dict[str, list[float]] = {name: [] for name in names}
    with arena() as here, between_batches(), ExitStack() as stack:
        workload = here.workload()
        source = here.backlog("events", workload.made.values, 2 * events, PARTITIONS)
        all_turns = {name: _contestant(name, here, workload, source, stack) for name in names}
        for turn in all_turns.values():
            turn(events)  # batches find their size
        for number in turns:
            for name in names if number % 2 == 0 else reversed(names):
                took[name].append(all_turns[name](events))
            print(
                f"  {number + 1:>3}  {'  '.join(f'{n} {us[-1]:.2f} us' for n, us in took.items())}",
                flush=True,
            )
    return took


def main() -> None:
    """Measure."""
    options = _options()
    keep_freed_memory()
    took = measure(options.contestants, options.events, Turns.asked_for(options))
    rounds = len(next(iter(took.values())))
    rows = [[name, f"{1e6 / statistics.median(us):,.0f}", report.quartiles(us)] for name, us in took.items()]
    ratios = [
        f"- {one} / {other}: {report.quartiles([b / a for a, b in zip(took[one], took[other], strict=True)])}"
        for one, other in _PAIRS
        if one in took and other in took
    ]
    report.finish(
        options.name,
        "An event in the worker and in a bare copy, in turns",
        f"{material.FEATURES} features, linear model, 0.1 kB, {PARTITIONS} partitions; {rounds} rounds of "
        f"turns of {options.events:,} events, the first {_UNCOUNTED_SHARE:.0%} of each not counted. Batches "
        f"of at most {BATCH:,} (copy), {LARGE_BATCH:,} (copy-large-batches; worker, by its pace). Median "
        "(first-third quartile); ratios are of speeds, of turns of one round.",
        report.table(("contestant", "events/s", "us an event"), rows),
        "\n".join(ratios),
    )


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="alternating", rounds=25)
    parser.add_argument("--events", type=int, default=300_000, help="of each turn")
    parser.add_argument(
        "--contestants", nargs="+", default=["copy", "worker", "worker-unmonitored"], choices=NAMES
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
