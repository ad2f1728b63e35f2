"""The contract of Observer, for every implementation: no event raises, in whatever order events come."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_infer.flow.events import (
    AssignmentChanged,
    AssignmentDelayed,
    BatchAborted,
    BatchCommitted,
    ClientFailed,
    Degraded,
    Event,
    GroupBegun,
    LagMeasured,
    OffsetsLost,
    Paced,
    PartitionsHalted,
    PartitionsPaused,
    PauseCause,
    ProducerRenewed,
    ReadFinished,
    ReadingBegins,
    SlotRejoined,
    TopicsMissing,
)
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Partition
from stream_infer.ops.fanout import Fanout
from stream_infer.ops.logs import LogObserver
from stream_infer.ops.metrics import Build, Metrics
from stream_infer.ops.progress import ProgressCell

MAKERS: dict[str, Callable[[], Observer]] = {
    "metrics": lambda: Metrics("p", build=Build("0")),
    "progress": ProgressCell,
    "log": LogObserver,
    "fanout": lambda: Fanout([ProgressCell(), LogObserver()]),
}

partitions = st.builds(Partition, st.sampled_from(["a", "b.c"]), st.integers(0, 3))
seconds = st.floats(0, 1e6)
counts = st.integers(0, 10**9)
reasons = st.dictionaries(st.tuples(st.sampled_from(["decode", "predict"]), st.text(max_size=9)), counts)
by_type: dict[type[Event], st.SearchStrategy[Event]] = {
    ReadFinished: st.builds(ReadFinished, counts, seconds),
    BatchCommitted: st.builds(
        BatchCommitted, counts, counts, counts, reasons, st.text(max_size=9), seconds, seconds
    ),
    BatchAborted: st.builds(BatchAborted, counts, st.text()),
    AssignmentChanged: st.builds(
        AssignmentChanged,
        st.sampled_from(["assigned", "revoked", "lost"]),
        st.lists(partitions, unique=True).map(tuple),
    ),
    GroupBegun: st.builds(GroupBegun, st.dictionaries(partitions, counts)),
    ReadingBegins: st.builds(ReadingBegins, st.dictionaries(partitions, counts)),
    OffsetsLost: st.builds(
        OffsetsLost,
        st.dictionaries(partitions, st.text()),
        st.dictionaries(partitions, counts),
        st.booleans(),
    ),
    TopicsMissing: st.builds(TopicsMissing, st.lists(st.text(), max_size=2).map(tuple)),
    ProducerRenewed: st.builds(ProducerRenewed, st.text(), seconds),
    AssignmentDelayed: st.builds(AssignmentDelayed, st.lists(partitions, unique=True).map(tuple), st.text()),
    SlotRejoined: st.builds(SlotRejoined, st.text()),
    ClientFailed: st.builds(ClientFailed, st.text()),
    LagMeasured: st.builds(LagMeasured, st.dictionaries(partitions, counts)),
    PartitionsPaused: st.builds(
        PartitionsPaused, st.sampled_from(PauseCause), st.lists(partitions, unique=True).map(tuple), st.text()
    ),
    PartitionsHalted: st.builds(PartitionsHalted, st.dictionaries(partitions, st.text())),
    Degraded: st.builds(Degraded, st.lists(st.text(), max_size=2).map(tuple), counts),
    Paced: st.builds(Paced, counts, seconds, st.booleans(), seconds, seconds),
}
events = st.one_of(*by_type.values())


@pytest.mark.parametrize("name", MAKERS)
@given(sequence=st.lists(events, max_size=20))
def test_an_observer_accepts_events_in_any_order(name: str, sequence: list[Event]) -> None:
    observer = MAKERS[name]()

    for event in sequence:
        observer(event)


def test_every_type_of_event_is_covered() -> None:
    assert set(by_type) == set(get_args(Event))
