from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from stream_infer.flow.errors import Aborted, OutputRefused, OutputTooLarge
from stream_infer.flow.events import Event, PartitionsPaused, PauseCause
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Output, Partition
from stream_infer.kafka.client import Properties
from stream_infer.kafka.output_gate import OutputGate, RefittingSink
from stream_infer.kafka.topic_shapes import TopicShapes
from stream_infer.kafka.topics import TopicFacts
from stream_infer.testing.memory import MemoryLog, MemorySource, StoredRecord

A, B, C = (Partition("events", index) for index in range(3))
TOPICS = {Channel.PREDICTIONS: "predictions", Channel.DEAD_LETTERS: "letters"}
OUTCOME = Outcome(Cursor({}), [Output(Channel.PREDICTIONS, [0], [None], [b"x"], [None])], 1, [], 0, "1.0.0")


class Shapes(TopicShapes):
    """What the broker would tell is in `told`."""

    def __init__(self, partitions: int) -> None:
        super().__init__(Properties({}), facts(partitions))
        self.told = self.facts
        self.asked = 0

    def refresh(self) -> None:
        self.asked += 1
        self.facts = self.told


def facts(partitions: int, limit: int = 1_000) -> TopicFacts:
    return TopicFacts({"events": 3, "predictions": partitions}, {"predictions": limit})


@dataclass
class World:
    """Three partitions of two records, an output with `places` partitions, and a sink that may refuse."""

    places: int
    refusal: Exception | None = None
    output: str | None = "predictions"
    refits: int = 0
    now: float = 0.0
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shapes = Shapes(self.places)
        log = MemoryLog({p: [StoredRecord(b"x"), StoredRecord(b"y")] for p in (A, B, C)})
        self.source = MemorySource(log)
        self.gate = OutputGate(
            self.source,
            self.shapes,
            output=self.output,
            refit=self.refit,
            observe=self.events.append,
            clock=lambda: self.now,
        )
        self.sink = RefittingSink(self, self.shapes, TOPICS, self.refit)

    def refit(self) -> None:
        self.refits += 1

    def commit(self, outcome: Outcome) -> None:
        if self.refusal is not None:
            raise self.refusal

    def paused(self) -> list[PartitionsPaused]:
        return [event for event in self.events if isinstance(event, PartitionsPaused)]


def rows(batch: Batch | None) -> Mapping[Partition, list[int]]:
    found: dict[Partition, list[int]] = {}
    for row in range(len(batch) if batch else 0):
        assert batch is not None
        found.setdefault(batch.source(row), []).append(batch.offset[row])
    return found


def test_partitions_that_the_output_has_pass_unchanged() -> None:
    world = World(places=4)

    assert rows(world.gate.read(100, 0)) == {A: [0, 1], B: [0, 1], C: [0, 1]}
    assert (world.shapes.asked, world.paused()) == (0, [])


def test_a_partition_without_a_place_waits_and_the_others_go_on() -> None:
    world = World(places=2)

    first, second = world.gate.read(100, 0), world.gate.read(100, 0)

    assert (rows(first), rows(second)) == ({A: [0, 1], B: [0, 1]}, {})
    assert first is not None
    assert set(first.cursor.spans) == {A, B}
    [paused] = world.paused()
    assert (paused.cause, paused.paused) == (PauseCause.OUTPUT_PARTITION, (C,))
    assert "predictions has 2 partitions" in paused.reason
    assert "--alter --topic predictions --partitions 3" in paused.reason
    assert world.shapes.asked == 1


def test_it_is_read_from_its_first_record_once_the_output_has_the_partition() -> None:
    world = World(places=2)
    world.gate.read(100, 0)
    world.shapes.told = facts(3)

    early = world.gate.read(100, 0)
    world.now = 60.0
    late = world.gate.read(100, 0)

    assert (rows(early), rows(late)) == ({}, {C: [0, 1]})
    assert [event.paused for event in world.paused()] == [(C,), ()]
    assert world.refits == 1  # the producer knows the partitions of before


def test_an_output_that_grew_first_delays_nothing() -> None:
    world = World(places=2)
    world.shapes.told = facts(3)

    assert rows(world.gate.read(100, 0)) == {A: [0, 1], B: [0, 1], C: [0, 1]}
    assert (world.refits, world.paused()) == (1, [])


def test_partitions_that_keys_choose_never_wait() -> None:
    assert len(rows(World(places=1, output=None).gate.read(100, 0))) == 3


def test_a_refused_output_has_the_topics_described_again() -> None:
    world = World(places=3, refusal=OutputRefused("too large"))
    world.shapes.told = facts(3, limit=500)

    with pytest.raises(OutputRefused):
        world.sink.commit(OUTCOME)

    assert world.shapes.facts.max_message_bytes == {"predictions": 500}
    assert world.refits == 1


def test_an_assumed_limit_is_halved_when_its_topic_refuses_a_record_as_too_large() -> None:
    world = World(places=3, refusal=OutputTooLarge("too large"))
    limits = {"predictions": 5_000, "letters": 5_000, "events": 5_000}
    world.shapes.facts = world.shapes.told = TopicFacts({}, limits, {}, frozenset({"predictions", "letters"}))

    for _ in range(2):
        world.shapes.told = world.shapes.facts
        with pytest.raises(OutputRefused):
            world.sink.commit(OUTCOME)

    assert world.shapes.facts.max_message_bytes == {**limits, "predictions": 1_250}
    assert world.refits == 2


def test_a_limit_that_may_be_read_is_never_halved() -> None:
    world = World(places=3, refusal=OutputTooLarge("too large"))

    with pytest.raises(OutputRefused):
        world.sink.commit(OUTCOME)

    assert world.shapes.facts.max_message_bytes == {"predictions": 1_000}


def test_a_missing_partition_halves_no_limit() -> None:
    world = World(places=3, refusal=OutputRefused("Unknown partition"))
    world.shapes.facts = world.shapes.told = TopicFacts(
        {}, {"predictions": 5_000}, {}, frozenset({"predictions"})
    )

    with pytest.raises(OutputRefused):
        world.sink.commit(OUTCOME)

    assert world.shapes.facts.max_message_bytes == {"predictions": 5_000}


def test_another_abort_asks_nothing() -> None:
    world = World(places=3, refusal=Aborted("timed out"))

    with pytest.raises(Aborted):
        world.sink.commit(OUTCOME)

    assert (world.shapes.asked, world.refits) == (0, 0)
