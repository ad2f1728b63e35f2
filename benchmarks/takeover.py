"""How long the partitions of a worker that is killed (SIGKILL) stand still.

    python -m benchmarks.takeover
    python -m benchmarks.takeover --sessions 10000 --rounds 1

Until every event that was sent before the kill is answered, under 100 events a second: with a new worker
started under the same slot at once, and with none, so that a worker under another slot takes over.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from confluent_kafka import Consumer, ConsumerGroupState, Producer, TopicPartition

from benchmarks import report
from benchmarks.arena import Arena, arena
from benchmarks.job import Job
from benchmarks.race import Contestant, addressed, worker_with
from benchmarks.turns import Turns
from tests.support.worker_process import Worker, until

_PARTITIONS = 4
_PAUSE_S = 0.01
_WITHIN_S = 120.0
_KINDS = {"same": "the same slot", "other": "another slot"}


class Positions:
    """Where the input ends, and up to where the group has answered it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._client = Consumer({"bootstrap.servers": job.bootstrap, "group.id": job.group})
        self._partitions = [TopicPartition(job.input, index) for index in range(_PARTITIONS)]

    def ends(self) -> Sequence[int]:
        """Return the end of each partition of the input."""
        return [self._client.get_watermark_offsets(one, timeout=_WITHIN_S)[1] for one in self._partitions]

    def reached(self, ends: Sequence[int]) -> bool:
        """Whether the committed offsets of the group are at or beyond `ends`."""
        committed = self._client.committed(self._partitions, timeout=_WITHIN_S)
        return all(one.offset >= end for one, end in zip(committed, ends, strict=True))

    def close(self) -> None:
        """Let the client go."""
        self._client.close()


def takeover_s(here: Arena, session_ms: int, kind: str) -> float:
    """Return the seconds from the kill of a worker until all that was sent before is answered."""
    with ExitStack() as stack:
        job = _job(here)
        more = {"kafka.consumer": {"session.timeout.ms": str(session_ms), "heartbeat.interval.ms": "3000"}}
        started: list[Worker] = []
        stack.callback(lambda: [one.kill() for one in started])

        def start(slot: str) -> Worker:
            worker_with(more)(replace(job, slot=slot), here.folder)
            started.append(Worker(here.folder / f"worker-{slot}.toml"))
            return started[-1]

        positions = Positions(job)
        stack.callback(positions.close)
        stack.enter_context(_sending(job, here.workload().made.values))
        killed = start("s0")
        until("the first worker answers", lambda: positions.reached([1] * _PARTITIONS), killed)
        if kind == "other":
            other, both = start("s1"), (ConsumerGroupState.STABLE, 2)
            until("both have joined", lambda: here.topics.group(job.group) == both, killed, other)
        now = positions.ends()
        until("all partitions are answered", lambda: positions.reached(now), *started)
        killed.kill()
        began, sent = time.monotonic(), positions.ends()
        successors = [start("s0")] if kind == "same" else started[1:]
        until("all is answered", lambda: positions.reached(sent), *successors, within_s=_WITHIN_S)
        return time.monotonic() - began


def _job(here: Arena) -> Job:
    create = here.topics.create
    others = create("dlq", 1), create("monitoring", 1), create("observations", 1)
    source, output = create("input", _PARTITIONS), create("output", _PARTITIONS)
    contestant = Contestant("worker", worker_with({}), monitored=True)
    return addressed(contestant, here.workload().job, source, output, others)


@contextmanager
def _sending(job: Job, values: Sequence[bytes]) -> Iterator[None]:
    """Send 100 events a second at most, in turns to all partitions, while the block runs."""
    producer = Producer({"bootstrap.servers": job.bootstrap})
    stop = threading.Event()

    def send() -> None:
        sent = 0
        while not stop.wait(_PAUSE_S):
            producer.produce(job.input, values[sent % len(values)], partition=sent % _PARTITIONS)
            producer.poll(0)
            sent += 1

    thread = threading.Thread(target=send, name="takeover-send")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        producer.flush(_WITHIN_S)


def main() -> None:
    """Measure."""
    options = _options()
    found: dict[tuple[int, str], list[float]] = {}
    with arena() as here:
        for _ in Turns.asked_for(options):
            for session_ms in options.sessions:
                for kind, title in _KINDS.items():
                    took_s = takeover_s(here, session_ms, kind)
                    found.setdefault((session_ms, kind), []).append(took_s)
                    print(f"  {session_ms} ms, {title}: {took_s:.1f} s", flush=True)
    report.finish(
        options.name,
        "Takeover after SIGKILL",
        f"From the kill until all events that were sent before are answered, in seconds, under 100 events/s. "
        f"The same slot: a new process is started at once. {options.rounds} runs each; median "
        "(least-greatest).",
        report.table(("`session.timeout.ms`", *_KINDS.values()), list(_rows(found, options.sessions))),
    )


def _rows(found: Mapping[tuple[int, str], list[float]], sessions: Sequence[int]) -> Iterator[list[str]]:
    for session_ms in sessions:
        spreads = [report.spread(found.get((session_ms, kind), []), ".1f") for kind in _KINDS]
        yield [str(session_ms), *spreads]


def _options() -> argparse.Namespace:
    parser = report.parser(__doc__, name="takeover", rounds=3)
    help_text = "values of session.timeout.ms"
    parser.add_argument("--sessions", type=int, nargs="+", default=[10_000, 30_000, 45_000], help=help_text)
    return parser.parse_args()


if __name__ == "__main__":
    main()
