"""Monitoring channels that are away stop nothing; what is for them comes later, all of it, and once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from stream_infer.flow.errors import Aborted
from stream_infer.flow.events import Degraded, Event
from stream_infer.flow.records import Channel, Cursor, Outcome, Output
from stream_infer.runtime.degradable import DegradableSink, FlushWhenIdle
from stream_infer.steps.observing.backlog import WaitingEvents
from stream_infer.testing.memory import MemoryLog, MemorySource

DEGRADABLE = (Channel.EVENTS, Channel.OBSERVATIONS)


class Topics:
    """Channels, of which some take nothing: a commit with one of those in it aborts. Also the health."""

    def __init__(self) -> None:
        self.broken: set[Channel] = set()
        self.failing = False
        self.written: dict[Channel, list[bytes | None]] = {channel: [] for channel in Channel}
        self.unavailable: Mapping[Channel, str] = {}

    def commit(self, outcome: Outcome) -> None:
        if self.failing or any(output.channel in self.broken for output in outcome.outputs):
            raise Aborted("refused")
        for output in outcome.outputs:
            self.written[output.channel] += output.values

    def refresh(self) -> None:
        self.unavailable = {channel: f"{channel} is gone" for channel in self.broken}


def outcome(number: int, degraded: Sequence[str] = ()) -> Outcome:
    return Outcome(Cursor({}), [one(channel, number) for channel in Channel], 1, [], 0, "1.0.0", degraded)


def one(channel: Channel, number: int) -> Output:
    return Output(channel, [], [b"k"], [b"%d" % number], [None])


def degradable(topics: Topics, seen: list[Event]) -> DegradableSink:
    waiting = {channel: Backlog(channel) for channel in DEGRADABLE}
    return DegradableSink(topics, topics, waiting, observe=seen.append)


class Backlog(WaitingEvents):
    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def output(self) -> Output:
        held = super().output()
        return Output(self._channel, [], held.keys, held.values, held.headers)


def delivered(sink: DegradableSink, numbers: Sequence[int]) -> None:
    """Commit each number, again for as long as it aborts."""
    for number in numbers:
        for _ in range(3):
            try:
                sink.commit(outcome(number))
            except Aborted:
                continue
            break
        else:
            raise AssertionError("scoring is stopped")


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(DEGRADABLE)), st.integers(0, 3), st.booleans()),
        max_size=8,
    )
)
def test_no_outage_of_monitoring_stops_scoring_and_all_comes_once_and_in_order(
    outages: list[tuple[set[Channel], int, bool]],
) -> None:
    topics = Topics()
    sink = degradable(topics, [])
    number = 0
    for broken, count, seen_to_return in [*outages, (set(), 1, True), (set(), 1, True)]:
        topics.broken = broken
        if seen_to_return:
            topics.refresh()
        delivered(sink, range(number, number + count))
        number += count

    expected = [b"%d" % one for one in range(number)]
    assert all(written == expected for written in topics.written.values())


def test_outputs_of_a_replayed_batch_are_not_kept_twice() -> None:
    topics = Topics()
    sink = degradable(topics, [])
    topics.broken = {Channel.OBSERVATIONS}
    delivered(sink, [0])
    topics.failing = True
    for _ in range(3):
        try:
            sink.commit(outcome(1))
        except Aborted:
            continue
    topics.failing = False
    delivered(sink, [1])
    topics.broken = set()
    topics.refresh()
    delivered(sink, [2])

    assert topics.written[Channel.OBSERVATIONS] == [b"0", b"1", b"2"]


def test_observers_hear_what_is_missing_and_that_it_is_back() -> None:
    topics, seen = Topics(), list[Event]()
    sink = degradable(topics, seen)
    delivered(sink, [0])
    topics.broken = {Channel.OBSERVATIONS}
    delivered(sink, [1, 2])
    topics.broken = set()
    topics.refresh()
    delivered(sink, [3])

    reason = ("observations is gone",)
    assert seen == [Degraded(reason, 0), Degraded(reason, 1), Degraded(reason, 2), Degraded((), 0)]


def test_what_waits_is_written_when_the_stream_is_quiet() -> None:
    topics, seen = Topics(), list[Event]()
    sink = degradable(topics, seen)
    source = FlushWhenIdle(MemorySource(MemoryLog({})), sink)
    topics.broken = {Channel.OBSERVATIONS}
    delivered(sink, [0])
    assert source.read(1, 0.0) is None
    assert topics.written[Channel.OBSERVATIONS] == []
    topics.broken = set()
    topics.refresh()
    topics.failing = True
    assert source.read(1, 0.0) is None
    topics.failing = False

    assert source.read(1, 0.0) is None
    assert topics.written[Channel.OBSERVATIONS] == [b"0"]
    assert seen[-1] == Degraded((), 0)


def test_a_failure_elsewhere_holds_nothing_back() -> None:
    topics, seen = Topics(), list[Event]()
    sink = degradable(topics, seen)
    topics.failing = True
    try:
        sink.commit(outcome(0))
    except Aborted:
        topics.failing = False
    delivered(sink, [0])

    assert topics.written[Channel.OBSERVATIONS] == [b"0"]
    assert seen == []


def test_the_reasons_of_an_outcome_are_reported_until_one_comes_without_them() -> None:
    topics, seen = Topics(), list[Event]()
    sink = degradable(topics, seen)
    sink.commit(outcome(0, degraded=["no summaries"]))
    topics.broken = {Channel.OBSERVATIONS}
    delivered(sink, [1])
    sink.commit(outcome(2, degraded=["no summaries"]))
    topics.broken = set()
    topics.refresh()
    sink.flush()
    sink.flush()
    sink.commit(outcome(3))

    away = "observations is gone"
    assert seen == [
        Degraded(("no summaries",), 0),
        Degraded((away,), 0),
        Degraded((away,), 1),
        Degraded((away, "no summaries"), 2),
        Degraded(("no summaries",), 0),
        Degraded((), 0),
    ]
