from __future__ import annotations

from typing import Any

import numpy as np
from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from stream_infer.flow.records import Partition, Span
from stream_infer.kafka import columns


def messages(topics: list[str], rows: list[tuple[int, int]]) -> list[Any]:
    """Return real messages: partition by partition the next offset, as a consumer hands them out."""
    made = []
    ends: dict[tuple[str, int], int] = {}
    for topic, number in ((topics[t % len(topics)], n) for t, n in rows):
        offset = ends.get((topic, number), 10 * number)
        ends[topic, number] = offset + 1
        made.append(Message(topic=topic, partition=number, offset=offset, timestamp=(1, offset)))
    return made


@given(
    topics=st.sampled_from([["a"], ["a", "b"]]),
    rows=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=40),
)
def test_columns_say_what_the_messages_say(topics: list[str], rows: list[tuple[int, int]]) -> None:
    read = messages(topics, rows)

    places = columns.places(read, topics)

    assert [places.partitions[i] for i in places.partition] == [
        Partition(m.topic(), m.partition()) for m in read
    ]
    assert list(places.offset) == [m.offset() for m in read]
    for partition, span in places.spans.items():
        offsets = [m.offset() for m in read if Partition(m.topic(), m.partition()) == partition]
        assert span == Span(offsets[0], offsets[-1] + 1)
    assert set(places.spans) == set(places.partitions)
    assert list(columns.timestamps_ms(read)) == [m.timestamp()[1] for m in read]


def test_numbers_are_taken_as_they_are_and_one_of_them_is_a_plain_int() -> None:
    places = columns.places(messages(["a"], [(0, 0), (0, 1)]), ["a"])

    assert np.asarray(places.offset).dtype == np.int64
    assert type(places.offset[0]) is int
    assert type(places.partition[0]) is int
