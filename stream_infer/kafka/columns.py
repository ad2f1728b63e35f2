"""From the client's messages to the columns of a batch: accessors mapped in C, and no Python per record.

Numbers become `array`s: numpy takes them as they are, where it would walk through a list, and whoever looks
at one row gets a plain int.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from stream_infer.flow.records import Partition, Span


@dataclass(frozen=True, slots=True)
class Places:
    """Where messages are from: `partition[i]` indexes `partitions`; what of each partition they cover."""

    partitions: Sequence[Partition]
    partition: Sequence[int]
    offset: Sequence[int]
    spans: Mapping[Partition, Span]


def places(messages: Sequence[Message], topics: Sequence[str]) -> Places:
    """Return the places of one or more `messages` of `topics`, in offset order within each partition.

    Messages come in runs of one partition, a few per batch, so that looking at the runs is enough. With one
    topic, no message is asked for it.
    """
    count = len(messages)
    number = np.fromiter(map(Message.partition, messages), np.int32, count)
    offset = np.fromiter(map(Message.offset, messages), np.int64, count)
    topic: list[str | None] = [topics[0]] * count
    if len(topics) > 1:
        topic = list(map(Message.topic, messages))
    changes = np.flatnonzero(np.diff(number)) if topic.count(topic[0]) == count else np.arange(count - 1)
    starts = [0, *(changes + 1).tolist()]
    spans: dict[Partition, Span] = {}
    runs: list[Partition] = []
    for start, end in zip(starts, [*starts[1:], count], strict=True):
        p = Partition(topic[start] or "", int(number[start]))
        first = spans[p].first if p in spans else int(offset[start])
        spans[p] = Span(first, int(offset[end - 1]) + 1)
        runs.append(p)
    index = {p: i for i, p in enumerate(spans)}
    row = np.repeat([index[p] for p in runs], np.diff([*starts, count]))
    return Places(list(spans), _plain(row.astype(np.int32), "i"), _plain(offset, "q"), spans)


def timestamps_ms(messages: Sequence[Message]) -> Sequence[int]:
    """Return the timestamp of each message; -1 where it has none."""
    return array("q", [message.timestamp()[1] for message in messages])


def _plain(numbers: NDArray[np.integer], code: str) -> array[int]:
    return array(code, numbers.tobytes())
