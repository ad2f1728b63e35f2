"""Turns the client's messages into the columns of a batch: accessors mapped in C, no Python per record.

Numbers become `array`s: numpy reads their buffer without a copy, and one row is a plain int.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import cast

import numpy as np
from confluent_kafka import Message
from numpy.typing import NDArray

from stream_infer.flow.records import Batch, Cursor, Headers, Partition, Span

CHUNK = 4_000
"""Messages taken from the client at a time: few enough to stay in the processor's cache.

Reading 50,000 took 0.98 us a message at once, 0.86 in chunks of 2,000 to 8,000, and more in smaller ones.
"""


# The client raises either for a header name that is not UTF-8 (confluent-kafka 2.16).
_UNDECODABLE = (UnicodeDecodeError, SystemError)


class Gathered:
    """Messages of `topics` in columns, in offset order within each partition."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = list(topics)
        self._partition: list[NDArray[np.int32]] = []
        self._offset: list[NDArray[np.int64]] = []
        # With one topic, no message is asked for it.
        self._topic: list[str | None] | None = [] if len(topics) > 1 else None
        self._timestamp_ms = array("q")
        self._keys: list[bytes | None] = []
        self._values: list[bytes | None] = []
        self._headers: list[Headers | None] = []
        self._unreadable: list[int] = []
        self.size_bytes = 0
        """The size of all keys, values and headers so far."""

    def __len__(self) -> int:
        return len(self._values)

    def add(self, messages: Sequence[Message]) -> None:
        """Add `messages`, none of them an error. A record without a timestamp has -1."""
        count = len(messages)
        self._partition.append(np.fromiter(map(Message.partition, messages), np.int32, count))
        self._offset.append(np.fromiter(map(Message.offset, messages), np.int64, count))
        if self._topic is not None:
            self._topic += map(Message.topic, messages)
        self._timestamp_ms += array("q", map(itemgetter(1), map(Message.timestamp, messages)))
        before = len(self._values)
        self._keys += map(Message.key, messages)
        self._values += map(Message.value, messages)
        self._add_headers(messages)
        self._add_size(before)

    def _add_size(self, before: int) -> None:
        headers = chain.from_iterable(filter(None, self._headers[before:]))
        contents = chain(self._keys[before:], self._values[before:], map(itemgetter(1), headers))
        self.size_bytes += sum(map(len, filter(None, contents)))

    def _add_headers(self, messages: Sequence[Message]) -> None:
        found = cast("Iterator[Headers | None]", map(Message.headers, messages))
        while True:
            try:
                self._headers.extend(found)
            except _UNDECODABLE:  # the iterator goes on behind the message that raised
                self._unreadable.append(len(self._headers))
                self._headers.append(None)
            else:
                return

    def without(self, partitions: Collection[Partition]) -> Gathered:
        """Return the messages of all other partitions."""
        number = np.concatenate(self._partition)
        topic: list[str | None] = self._topic or [*self._topics] * len(self)
        kept = [Partition(t or "", n) not in partitions for t, n in zip(topic, number.tolist(), strict=True)]
        others = Gathered(self._topics)
        others._partition = [number[kept]]
        others._offset = [np.concatenate(self._offset)[kept]]
        others._topic = None if self._topic is None else list(compress(self._topic, kept))
        others._timestamp_ms = array("q", compress(self._timestamp_ms, kept))
        others._keys = list(compress(self._keys, kept))
        others._values = list(compress(self._values, kept))
        others._headers = list(compress(self._headers, kept))
        rows = {row: at for at, row in enumerate(compress(range(len(self)), kept))}
        others._unreadable = [rows[row] for row in self._unreadable if row in rows]
        return others

    def batch(self, received_ms: int, *, lease: object = None) -> Batch:
        """Return one or more messages as a batch.

        Messages come in runs of one partition, a few per batch: only the runs are looked at.
        """
        count = len(self)
        number, offset = np.concatenate(self._partition), np.concatenate(self._offset)
        topic: list[str | None] = self._topic or [*self._topics] * count
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
        return Batch(
            cursor=Cursor(spans, lease),
            partitions=list(spans),
            partition=_plain(row.astype(np.int32), "i"),
            offset=_plain(offset, "q"),
            timestamp_ms=self._timestamp_ms,
            keys=self._keys,
            values=self._values,
            headers=self._headers,
            received_ms=received_ms,
            unreadable_headers=self._unreadable,
        )

    @property
    def newest_ms(self) -> int:
        """The latest timestamp."""
        return max(self._timestamp_ms)


def headers_of(message: Message) -> Headers | None:
    """Return the headers of `message`; None when a header name is not UTF-8."""
    try:
        return cast("Headers", message.headers() or [])
    except _UNDECODABLE:
        return None


def partition_of(message: Message) -> Partition:
    """Return the partition of `message`."""
    return Partition(message.topic() or "", message.partition() or 0)


def _plain(numbers: NDArray[np.integer], code: str) -> array[int]:
    return array(code, numbers.tobytes())
