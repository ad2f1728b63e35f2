from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, cast

from confluent_kafka import Consumer, Message

from stream_infer.flow.records import Partition
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.offsets import OnLostOffset, StartOffsets
from stream_infer.kafka.reading import BatchReader
from stream_infer.kafka.rebalance import RebalanceListener
from stream_infer.kafka.topic_guard import TopicGuard
from tests.support.topic_ids import topic_ids

MB = 2**20


class Queue:
    """A consumer's local queue: it gives what it has, up to the number that is asked for."""

    def __init__(self, waiting: Sequence[Message]) -> None:
        self.waiting = list(waiting)

    def poll(self, _wait_s: float) -> Message | None:
        return self.waiting.pop(0) if self.waiting else None

    def consume(self, count: int, _wait_s: float) -> list[Message]:
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def get_watermark_offsets(self, *_partition: object, cached: bool) -> tuple[int, int]:
        assert cached
        return 0, 0


def messages(*sizes: int, **more: Any) -> list[Message]:
    return [
        Message(topic="events", partition=0, offset=at, value=bytes(size), timestamp=(1, 1), **more)
        for at, size in enumerate(sizes)
    ]


def read_all(waiting: Sequence[Message], *, limit: int = 50_000, max_bytes: int = 64 * MB) -> list[int]:
    """The sizes of the batches in which these messages are read."""
    assignment = Assignment()
    assignment.assign({Partition("events", 0): 0}, None)
    consumer = cast(Consumer, Queue(waiting))
    start = StartOffsets("earliest", OnLostOffset.HALT)
    ids = topic_ids({})
    rebalance = RebalanceListener(["events"], [], start, assignment, ids, lambda _partitions: None)
    reader = BatchReader(
        consumer,
        assignment,
        rebalance,
        TopicGuard(consumer, assignment, rebalance.pending, ids, lambda _event: None),
        config={},
        observe=lambda _event: None,
        logger=logging.getLogger("test"),
    )
    read = []
    while (batch := reader.read(limit, max_bytes, 0)) is not None:
        read.append(len(batch))
    return read


def test_a_batch_of_small_records_is_as_large_as_the_limit() -> None:
    assert read_all(messages(*[100] * 12_000), limit=9_000) == [9_000, 3_000]


def test_a_batch_ends_with_the_record_that_reaches_its_bytes() -> None:
    assert read_all(messages(*[MB] * 40), max_bytes=16 * MB) == [16, 16, 8]


def test_a_record_alone_may_be_larger_than_a_batch() -> None:
    assert read_all(messages(*[3 * MB] * 3), max_bytes=MB) == [1, 1, 1]


def test_large_records_after_small_ones_end_the_batch_with_their_chunk() -> None:
    assert read_all(messages(*[100] * 6_000, *[MB] * 3_000), max_bytes=64 * MB)[0] < 6_000 + 3_000


def test_keys_and_headers_count() -> None:
    keys = messages(*[10] * 40, key=bytes(MB))
    headers = messages(*[10] * 40, headers=[("trace", bytes(MB)), ("none", None)])

    assert read_all(keys, max_bytes=16 * MB) == read_all(headers, max_bytes=16 * MB) == [16, 16, 8]
