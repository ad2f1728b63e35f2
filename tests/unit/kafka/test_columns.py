from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from stream_infer.flow.records import Partition, Span
from stream_infer.kafka import columns
from stream_infer.kafka.columns import Gathered, partition_of


def messages(topics: list[str], rows: list[tuple[int, int]]) -> list[Any]:
    """Return real messages: in offset order, partition by partition, as from a consumer."""
    made = []
    ends: dict[tuple[str, int], int] = {}
    for topic, number in ((topics[t % len(topics)], n) for t, n in rows):
        offset = ends.get((topic, number), 10 * number)
        ends[topic, number] = offset + 1
        made.append(
            Message(
                topic=topic, partition=number, offset=offset, key=b"%d" % number, value=b"%d" % offset,
                timestamp=(1, offset), headers=[("from", topic.encode())],
            )
        )  # fmt: skip
    return made


TOPICS = st.sampled_from([["a"], ["a", "b"]])
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=40)


def gathered(read: list[Any], topics: list[str], chunk: int) -> Gathered:
    """Return `read`, added in chunks."""
    made = Gathered(topics)
    for first in range(0, len(read), chunk):
        made.add(read[first : first + chunk])
    return made


@given(topics=TOPICS, rows=ROWS, chunk=st.integers(1, 40))
def test_columns_have_the_content_of_the_messages(
    topics: list[str], rows: list[tuple[int, int]], chunk: int
) -> None:
    read = messages(topics, rows)

    batch = gathered(read, topics, chunk).batch(7)

    assert [batch.source(row) for row in range(len(read))] == list(map(partition_of, read))
    assert list(batch.offset) == [m.offset() for m in read]
    assert list(batch.timestamp_ms) == [m.timestamp()[1] for m in read]
    assert list(batch.keys) == [m.key() for m in read]
    assert list(batch.values) == [m.value() for m in read]
    assert list(batch.headers) == [m.headers() for m in read]
    for partition, span in batch.cursor.spans.items():
        offsets = [m.offset() for m in read if partition_of(m) == partition]
        assert span == Span(offsets[0], offsets[-1] + 1)
    assert set(batch.cursor.spans) == set(batch.partitions)


@given(topics=TOPICS, rows=ROWS, gone=st.sets(st.integers(0, 3)))
def test_dropped_partitions_leave_no_trace_in_the_columns(
    topics: list[str], rows: list[tuple[int, int]], gone: set[int]
) -> None:
    read = messages(topics, rows)
    left = [m for m in read if m.partition() not in gone]

    kept = gathered(read, topics, 7).without({Partition(t, p) for t in topics for p in gone})

    assert len(kept) == len(left)
    if left:
        assert kept.batch(7) == gathered(left, topics, 40).batch(7)


def test_number_columns_are_int64_arrays_with_plain_int_elements() -> None:
    batch = gathered(messages(["a"], [(0, 0), (0, 1)]), ["a"], 1).batch(7)

    assert np.asarray(batch.offset).dtype == np.int64
    assert type(batch.offset[0]) is int
    assert type(batch.partition[0]) is int


def test_headers_that_cannot_be_decoded_cost_no_other_record_its_headers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = messages(["a"], [(0, 0)] * 4)
    odd = {
        1: SystemError("a result with an exception set"),
        3: UnicodeDecodeError("utf-8", b"\xff", 0, 1, ""),
    }

    class Decoding:
        partition = Message.partition
        offset = Message.offset
        timestamp = Message.timestamp
        key = Message.key
        value = Message.value

        @staticmethod
        def headers(message: Message) -> object:
            if (row := read.index(message)) in odd:
                raise odd[row]
            return message.headers()

    monkeypatch.setattr(columns, "Message", Decoding)

    batch = gathered(read, ["a"], 4).batch(7)

    assert batch.headers == [[("from", b"a")], None, [("from", b"a")], None]
    assert batch.unreadable_headers == [1, 3]


def test_rows_with_unreadable_headers_keep_their_place_when_partitions_are_dropped() -> None:
    made = gathered(messages(["a"], [(0, 0), (0, 1), (0, 0), (0, 1)]), ["a"], 4)
    made._unreadable = [1, 2, 3]

    assert made.without({Partition("a", 0)}).batch(7).unreadable_headers == [0, 1]
