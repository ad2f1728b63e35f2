"""Whatever is scripted at the commits, each input gets exactly one answer, in order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.flow.events import BatchAborted, BatchCommitted, Event
from stream_infer.flow.records import Partition
from stream_infer.runtime.loop import run
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.testing.memory import (
    Crashed,
    Fault,
    MemoryLog,
    MemorySink,
    MemorySource,
    StoredRecord,
)
from tests.contracts.rigs import copy_of


class CopyStep:
    """Answers each record with its value, and counts what it was events to forget."""

    def __init__(self) -> None:
        self.forgotten = 0

    __call__ = staticmethod(copy_of)

    def forget(self) -> None:
        self.forgotten += 1


def log_of(sizes: Sequence[int]) -> MemoryLog:
    return MemoryLog(
        {
            Partition("events", p): [StoredRecord(b"%d/%d" % (p, i)) for i in range(size)]
            for p, size in enumerate(sizes)
        }
    )


def run_members(log: MemoryLog, script: Sequence[Fault], limit: int) -> list[Event]:
    """Run one member after the other, each until it crashes, until the log is answered."""
    events: list[Event] = []
    sink = MemorySink(log, script)
    still = iter(range(1_000_000))
    while True:
        try:
            run(
                MemorySource(log),
                CopyStep(),
                sink,
                stop=Stop(),
                pace=Pace(Pacing(max_records=limit, commit_interval_s=0.0)),
                observe=events.append,
                clock=lambda: float(next(still)) * 100,
            )
        except Crashed:
            continue
        return events


faults = st.lists(st.sampled_from(Fault), max_size=12)


@settings(max_examples=150, deadline=None)
@given(sizes=st.lists(st.integers(0, 15), min_size=1, max_size=3), script=faults, limit=st.integers(1, 9))
def test_every_record_is_answered_once_and_in_order(
    sizes: list[int], script: list[Fault], limit: int
) -> None:
    log = log_of(sizes)

    run_members(log, script, limit)

    for p, size in enumerate(sizes):
        answers = [v.value for v in log.visible if v.partition == p]
        assert answers == [b"%d/%d" % (p, i) for i in range(size)]
        assert log.position(Partition("events", p)) == size


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(0, 15), min_size=1, max_size=3), script=faults)
def test_the_counts_of_observers_add_up(sizes: list[int], script: list[Fault]) -> None:
    log = log_of(sizes)

    events = run_members(log, [f for f in script if f is not Fault.CRASH_AFTER], 4)

    committed = sum(e.records for e in events if isinstance(e, BatchCommitted))
    aborted = sum(isinstance(e, BatchAborted) for e in events)
    assert committed == sum(sizes)
    assert aborted <= sum(f in (Fault.ABORT, Fault.REBALANCE) for f in script)
