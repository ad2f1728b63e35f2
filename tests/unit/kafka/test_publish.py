from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream_infer.flow.records import Channel, Headers, Output
from stream_infer.kafka.publish import produce_all


class Queue:
    """The bounded queue of a producer: full after a few records, with room again after `poll`."""

    def __init__(self, room: list[int]) -> None:
        self._room = room
        self._free = 0
        self.queued: list[tuple[Any, ...]] = []

    def produce(  # noqa: PLR0917 - the client's own signature
        self,
        topic: str,
        value: bytes,
        key: bytes,
        partition: int,
        callback: None = None,
        on_delivery: None = None,
        timestamp: int = 0,
        headers: Headers | None = None,
    ) -> None:
        if not self._free:
            raise BufferError
        self._free -= 1
        self.queued.append((topic, value, key, partition, headers))

    def poll(self, timeout: float) -> None:
        self._free = self._room.pop() if self._room else 1_000


headers_of_row = st.one_of(st.none(), st.just([("traceparent", b"x")]))


@given(
    rows=st.lists(st.tuples(st.one_of(st.none(), st.binary(max_size=3)), headers_of_row), max_size=30),
    room=st.lists(st.integers(0, 5), max_size=10),
    placed=st.booleans(),
)
def test_every_record_is_queued_once_and_in_order_although_the_queue_is_full(
    rows: list[tuple[bytes | None, Headers | None]], room: list[int], *, placed: bool
) -> None:
    values: list[bytes | None] = [b"%d" % row for row in range(len(rows))]
    partitions = [row % 3 for row in range(len(rows))] if placed else None
    keys, headers = [key for key, _ in rows], [of_row for _, of_row in rows]
    queue: Any = Queue(room)

    produce_all(queue, "t", Output(Channel.PREDICTIONS, range(len(rows)), keys, values, headers, partitions))

    assert [record[:4] for record in queue.queued] == [
        ("t", value, key, row % 3 if placed else -1)
        for row, (key, value) in enumerate(zip(keys, values, strict=True))
    ]
    assert [record[4] or None for record in queue.queued] == headers
