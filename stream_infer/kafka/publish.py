"""The port between the session and its two delivery guarantees: outputs and offsets are written together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple, Protocol

from confluent_kafka import Consumer, Producer, TopicPartition

from stream_infer.flow.records import Header, Output

_FULL_S = 0.05


class CommitUnknown(Exception):
    """The commit was sent and its result is unknown; the committed offsets show it."""


class Publisher(Protocol):
    """Writes the outputs of a batch and commits its offsets."""

    def open(self) -> None:
        """Prepare to publish. Raises `BrokerUnreachable`, `SlotTaken` or `Fatal`."""

    def refit(self, record_limits: Collection[int]) -> None:
        """From now on write to topics with these limits of a record, in bytes, and the partitions of now."""

    def publish(
        self,
        outputs: Sequence[tuple[str, Output]],
        offsets: list[TopicPartition],
        group_metadata: object,
        consumer: Consumer,
        confirm: Callable[[], None],
    ) -> None:
        """Write `outputs` (topic, records) and `offsets`. Raises `Aborted`, `CommitUnknown` or `Fatal`.

        `confirm` raises `Aborted` unless the records that were read may be answered. It waits for a
        broker, so it is called as late as it can be while nothing is visible.
        """

    def close(self) -> None:
        """Release the clients. Idempotent, never raises."""


def never(_written: Collection[str]) -> bool:
    """Return False: writes to these topics may still succeed."""
    return False


def produce_all(producer: Producer, topic: str, output: Output) -> None:
    """Queue the records of `output`, waiting where the producer's queue is full.

    `produce()` and not `produce_batch()`: the latter drops headers and the record's own partition, and is
    slower (1.9 against 1.3 us a record, measured with 2.16.1).
    """
    waiting = _Waiting(
        output.values,
        output.keys,
        output.partitions if output.partitions is not None else [-1] * len(output),
        [list(of_row or ()) for of_row in output.headers] if any(output.headers) else None,
    )
    while waiting.values:
        values = iter(waiting.values)
        try:
            # A loop in C: 0.43 us a record against 0.52 in Python.
            deque(waiting.queued_by(producer, topic, values), maxlen=0)
        except BufferError:
            waiting = waiting.after(len(waiting.values) - len(list(values)) - 1)
            producer.poll(_FULL_S)
        else:
            return


class _Waiting(NamedTuple):
    """The columns of the records to queue; most outputs have no headers."""

    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    partitions: Sequence[int]
    headers: Sequence[list[Header]] | None

    def queued_by(self, producer: Producer, topic: str, values: Iterator[bytes | None]) -> Iterator[None]:
        """Return an iterator that calls `produce` for one record after the other."""
        first = repeat(topic), values, self.keys, self.partitions
        if self.headers is None:
            return map(producer.produce, *first)
        # Positional, as `map` calls it: no callback under either name, the current time.
        return map(producer.produce, *first, repeat(None), repeat(None), repeat(0), self.headers)

    def after(self, count: int) -> _Waiting:
        """Return the columns without the first `count` records."""
        headers = None if self.headers is None else self.headers[count:]
        return _Waiting(self.values[count:], self.keys[count:], self.partitions[count:], headers)
