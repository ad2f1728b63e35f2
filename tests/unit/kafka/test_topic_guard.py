"""Partitions whose topic was deleted or recreated are taken back until it is known where to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest
from confluent_kafka import Consumer

from stream_infer.flow.errors import Aborted
from stream_infer.flow.events import Event, TopicsMissing
from stream_infer.flow.records import Partition
from stream_infer.kafka import topic_guard
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.pending import PendingPartitions
from stream_infer.kafka.topic_guard import TopicGuard
from tests.support.topic_ids import MISSING, SILENT, ToldIds, topic_ids

KEPT, RECREATED = Partition("kept", 0), Partition("recreated", 0)


class World:
    """A worker that owns two partitions, of topics with the ids "k" and "r"."""

    def __init__(self, *, stopping: bool = False) -> None:
        self.broker = ToldIds({"kept": "k", "recreated": "r"})
        self.ids = topic_ids(self.broker, stopping=stopping)
        self.ids.now()
        self.taken: list[Partition] = []
        self.events: list[Event] = []
        assignment = Assignment()
        assignment.assign({KEPT: 0, RECREATED: 0}, None, {KEPT: "k", RECREATED: "r"})
        self.assignment = assignment
        unused = cast(Consumer, None)
        pending = cast(PendingPartitions, self)
        self.guard = TopicGuard(unused, assignment, pending, self.ids, self.events.append)

    def take_back(self, _consumer: object, partitions: Sequence[Partition]) -> None:
        self.taken += partitions
        self.assignment.revoke(partitions)


def test_only_partitions_of_a_recreated_topic_are_taken_back() -> None:
    world = World()
    world.guard.look()
    world.broker.told["recreated"] = "s"
    world.guard.ask()

    world.guard.look()

    assert world.taken == [RECREATED]
    assert world.events == []


def test_a_topic_that_is_missing_is_told_once_and_again_when_it_is_back() -> None:
    world = World()
    for told in (MISSING, MISSING, "s", "s"):
        world.broker.told["recreated"] = told
        world.guard.ask()
        world.guard.look()

    assert world.taken == [RECREATED]
    assert world.events == [TopicsMissing(("recreated",)), TopicsMissing(())]


def test_a_quiet_worker_asks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    asked = world.broker.asked
    world.guard.look()
    assert world.broker.asked == asked

    monkeypatch.setattr(topic_guard, "_ASK_EVERY_S", -1.0)
    world.guard.look()

    assert world.broker.asked == asked + 1


def test_a_commit_is_confirmed_by_an_answer_to_what_was_asked_after_the_read() -> None:
    world = World()
    world.guard.ask()
    world.guard.confirm()
    world.broker.told["recreated"] = "s"
    world.guard.ask()

    with pytest.raises(Aborted, match="recreated was deleted or recreated since the batch was read"):
        world.guard.confirm()


def test_a_commit_is_not_confirmed_without_an_answer() -> None:
    world = World(stopping=True)
    world.broker.told["kept"] = SILENT
    world.guard.ask()

    with pytest.raises(Aborted, match="no broker tells"):
        world.guard.confirm()


def test_the_id_of_committed_offsets_is_the_one_that_was_used() -> None:
    world = World()
    world.assignment.topic_ids[RECREATED] = "s"

    world.guard.committed([KEPT, RECREATED])

    assert world.ids.used == {"kept": "k", "recreated": "s"}
