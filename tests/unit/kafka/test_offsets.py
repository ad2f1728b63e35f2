"""Where reading starts, by what the group has committed and the pipeline has written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.flow.records import Partition
from stream_infer.kafka.offsets import NextOffset, OnLostOffset, Start, StartOffsets, losses
from stream_infer.kafka.toppars import group_offset, topic_id_of
from tests.support.topic_ids import ToldIds, topic_ids

OLD, NEW = Partition("old", 0), Partition("new", 0)
ENDS = {"old": (5, 90), "new": (3, 40), "answers": (0, 80), "unused": (0, 0)}


class FakeConsumer:
    """A consumer of topics with one partition each, whose group has `committed` these offsets.

    They belong to topics with the ids `topic_ids`.
    """

    def __init__(self, committed: Mapping[str, int], topic_ids: Mapping[str, str] | None = None) -> None:
        self._committed = committed
        self._topic_ids = topic_ids or {}
        self.begun: list[TopicPartition] = []

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout > 0
        return [
            group_offset(
                Partition(p.topic, p.partition),
                self._committed.get(p.topic, -1001),
                self._topic_ids.get(p.topic, ""),
            )
            for p in partitions
        ]

    def commit(self, offsets: list[TopicPartition], *, asynchronous: bool) -> None:
        assert not asynchronous
        self.begun = offsets

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        return ENDS[place.topic]

    def list_topics(self, timeout: float) -> Any:
        assert timeout > 0
        return SimpleNamespace(topics={name: SimpleNamespace(partitions=[0]) for name in ENDS})


class SilentGroup(FakeConsumer):
    """A consumer whose question about the group has no answer."""

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))


def starts(committed: Mapping[str, int], *, outputs: Sequence[str]) -> Mapping[Partition, Start]:
    policy = StartOffsets("latest", OnLostOffset.HALT, ["old", "new"], outputs)
    consumer = cast(Consumer, FakeConsumer(committed))
    return policy.of(consumer, [TopicPartition("old", 0), TopicPartition("new", 0)], topic_ids({}), {})


def test_a_topic_that_is_added_to_a_pipeline_is_read_from_its_oldest_record() -> None:
    assert starts({"old": 30}, outputs=["answers"]) == {OLD: Start(30), NEW: Start(3)}


def test_a_group_without_offsets_whose_pipeline_has_answered_is_halted() -> None:
    halted = starts({}, outputs=["answers"])

    assert [start.offset for start in halted.values()] == [5, 3]
    assert all("answers has answers of earlier runs" in (s.halted or "") for s in halted.values())


def test_a_pipeline_that_has_never_answered_reads_from_the_oldest_record() -> None:
    assert starts({}, outputs=["unused"]) == {OLD: Start(5), NEW: Start(3)}


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_a_start_that_skips_records_waits_for_an_answer_about_the_group(start: str) -> None:
    consumer = cast(Consumer, SilentGroup({}))
    policy = StartOffsets(start, OnLostOffset.HALT, ["old"])
    expected = nullcontext() if start == "earliest" else pytest.raises(BrokerUnreachable)

    with expected:
        policy.begin_group(consumer, ["old"], topic_ids({}))


def test_an_offset_before_the_log_is_a_loss() -> None:
    found = starts({"old": 4, "new": 3}, outputs=["answers"])

    assert found[NEW] == Start(3)
    assert "offset 4 is not in the log (it holds 5 to 90)" in (found[OLD].halted or "")


IDS = {"old": "a", "new": "b"}


def start_of_old(
    policy: OnLostOffset,
    committed: Mapping[str, int],
    *,
    used: str,
    now: str,
    lost: Mapping[Partition, int] | None = None,
) -> Start:
    """Where "old" is read when the group's offsets, and this worker, knew it under the id `used`."""
    broker = ToldIds({"old": used})
    ids = topic_ids(broker)
    ids.now()
    broker.told["old"] = now
    ids.now()
    offsets = StartOffsets("latest", policy, ["old", "new"], ["answers"])
    consumer = cast(Consumer, FakeConsumer(committed, {"old": used}))
    return offsets.of(consumer, [TopicPartition("old", 0)], ids, lost or {})[OLD]


@pytest.mark.parametrize("committed", [30, 4, None])
@pytest.mark.parametrize("policy", OnLostOffset)
def test_an_offset_is_never_applied_to_a_topic_that_was_created_later(
    policy: OnLostOffset, committed: int | None
) -> None:
    offsets = {} if committed is None else {"old": committed}

    start = start_of_old(policy, offsets, used="a", now="z")

    assert (start.offset, start.topic_id) == (5, "z")
    assert start.lost == "old was deleted and recreated: its id was a and is z. The new log holds 5 to 90"
    assert ("offsets reset --to earliest" in (start.halted or "")) is (policy is OnLostOffset.HALT)


@pytest.mark.parametrize("used", ["a", ""])
def test_an_offset_of_the_same_topic_or_of_one_without_id_is_read_on_from(used: str) -> None:
    assert start_of_old(OnLostOffset.HALT, {"old": 30}, used=used, now="a") == Start(30, None, "a")


@pytest.mark.parametrize("policy", OnLostOffset)
@pytest.mark.parametrize(("committed", "lost", "named"), [(4, {}, 4), (30, {OLD: 95}, 95)])
def test_a_loss_is_told_under_both_policies(
    policy: OnLostOffset, committed: int, lost: Mapping[Partition, int], named: int
) -> None:
    start = start_of_old(policy, {"old": committed}, used="a", now="a", lost=lost)

    assert start.left == committed
    told = losses({OLD: start, NEW: Start(30)})

    assert told is not None
    assert told.offsets == {OLD: 5}
    assert f"offset {named} is not in the log (it holds 5 to 90)" in told.reasons[OLD]
    assert (start.halted is None) is (policy is OnLostOffset.EARLIEST)
    assert losses({NEW: Start(30)}) is None


@pytest.mark.parametrize(("start", "offsets"), [("earliest", [5, 3]), ("latest", [90, 40])])
def test_a_new_group_begins_with_the_ids_of_its_topics(start: str, offsets: list[int]) -> None:
    fake = FakeConsumer({})

    policy = StartOffsets(start, OnLostOffset.HALT)
    begun = policy.begin_group(cast(Consumer, fake), ["old", "new"], topic_ids(IDS))

    assert list(begun.values()) == offsets

    assert [(p.offset, topic_id_of(p)) for p in fake.begun] == list(zip(offsets, IDS.values(), strict=True))


@pytest.mark.parametrize(("known", "expected"), [(30, Start(30, None, "a")), (0, Start(5, None, "a"))])
def test_a_group_without_offsets_goes_on_from_what_is_remembered(known: int, expected: Start) -> None:
    asked: list[object] = []

    def remembered() -> NextOffset:
        asked.append(None)
        return lambda partition, topic_id: known if (partition, topic_id) == (OLD, "a") else 0

    policy = StartOffsets("earliest", OnLostOffset.EARLIEST, remembered=remembered)
    ids = topic_ids(IDS)
    ids.now()
    places = [TopicPartition("old", 0), TopicPartition("new", 0)]
    fake = FakeConsumer({})

    found = policy.of(cast(Consumer, fake), places, ids, {})
    assert found == {OLD: expected, NEW: Start(3, None, "b")}
    assert len(asked) == 1
    policy.begin_group(cast(Consumer, fake), ["old", "new"], ids)
    assert [p.offset for p in fake.begun] == [known or 5, 3]


def test_an_offset_that_is_remembered_and_not_in_the_log_is_a_loss() -> None:
    policy = StartOffsets("earliest", OnLostOffset.EARLIEST, remembered=lambda: lambda *_: 4)
    consumer = cast(Consumer, FakeConsumer({}))

    [start] = policy.of(consumer, [TopicPartition("old", 0)], topic_ids({}), {}).values()

    assert start.offset == 5
    assert "offset 4 is not in the log" in (start.lost or "")
