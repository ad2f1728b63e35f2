from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.avro.confluent import NO_HEAD, Writer, heads, id_head
from stream_infer.flow.events import Event, PartitionsPaused
from stream_infer.flow.records import Batch, Partition
from stream_infer.kafka.schema_gate import SchemaGatedSource
from stream_infer.kafka.writer_schemas import RegistryUnavailable, WriterSchemas
from stream_infer.testing.memory import MemoryLog, MemorySource, StoredRecord
from tests.unit.avro.world import record

EVENT = record(("n", "long"))
A, B = Partition("events", 0), Partition("events", 1)


@dataclass
class World:
    """Two partitions of records with a writer's schema id each, and a registry with some of the ids."""

    ids: Mapping[Partition, Sequence[int | None]]
    registered: set[int] = field(default_factory=set)
    requested: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    now: float = 0.0

    def open(self) -> SchemaGatedSource:
        self.log = MemoryLog({p: [StoredRecord(_value(i)) for i in ids] for p, ids in self.ids.items()})
        self.memory = MemorySource(self.log)
        self.writers = WriterSchemas(self._fetch, clock=lambda: self.now)
        return SchemaGatedSource(self.memory, self.writers, observe=self.events.append)

    def _fetch(self, head: bytes) -> Writer:
        self.requested.append(head)
        if int.from_bytes(head[1:], "big") not in self.registered:
            raise RegistryUnavailable("it is down")
        return EVENT

    def paused(self) -> list[tuple[Partition, ...]]:
        return [event.paused for event in self.events if isinstance(event, PartitionsPaused)]


def _value(writer: int | None) -> bytes | None:
    return None if writer is None else id_head(writer) + b"\x02"


def rows(batch: Batch | None) -> dict[Partition, list[int]]:
    found: dict[Partition, list[int]] = {}
    for row in range(len(batch) if batch else 0):
        assert batch is not None
        found.setdefault(batch.source(row), []).append(batch.offset[row])
    return found


def read_until(
    world: World, source: SchemaGatedSource, reached: Callable[[], bool] = lambda: False
) -> list[Batch]:
    """Read until no record is left and `reached()` is true."""
    batches, tick = [], threading.Event()
    for _ in range(2000):
        batch = source.read(100, 0)
        if batch is not None:
            batches.append(batch)
        elif reached():
            return batches
        else:
            world.now += 1
            tick.wait(0.001)
    raise AssertionError("nothing more came")


def test_a_batch_of_known_writers_passes_unchanged() -> None:
    world = World({A: [1, None, 1], B: [1]}, {1})
    source = world.open()

    batch = source.read(100, 0)

    assert rows(batch) == {A: [0, 1, 2], B: [0]}
    assert world.requested == [id_head(1)]
    assert world.paused() == []


def test_a_partition_waits_at_its_first_record_of_an_unknown_writer_and_the_others_go_on() -> None:
    world = World({A: [1, 1, 2, 1, 2], B: [1, 1, 1]}, {1})
    source = world.open()

    batch = source.read(100, 0)

    assert rows(batch) == {A: [0, 1], B: [0, 1, 2]}
    assert batch is not None
    assert {p: tuple(span) for p, span in batch.cursor.spans.items()} == {A: (0, 2), B: (0, 3)}
    assert source.read(100, 0) is None
    assert not source.finished
    assert world.paused() == [(A,)]
    assert list(world.memory.paused) == [A]


def test_a_partition_that_begins_with_an_unknown_writer_is_not_in_the_batch() -> None:
    world = World({A: [2, 1], B: [1]}, {1})

    batch = world.open().read(100, 0)

    assert rows(batch) == {B: [0]}
    assert batch is not None
    assert batch.cursor.spans.keys() == {B}


def test_a_waiting_partition_is_read_on_once_the_writer_is_known() -> None:
    world = World({A: [1, 2, 1, 2], B: [1]}, {1})
    source = world.open()
    source.read(100, 0)

    world.registered.add(2)
    world.now += 60
    batches = read_until(world, source, lambda: source.finished)

    assert [rows(batch) for batch in batches] == [{A: [1, 2, 3]}]
    assert world.paused() == [(A,), ()]


def test_a_registry_that_is_down_is_not_queried_at_every_read() -> None:
    world = World({A: [2], B: []})
    source = world.open()

    for _ in range(50):
        assert source.read(100, 0) is None

    assert world.requested == [id_head(2)]
    assert [event.reason for event in world.events if isinstance(event, PartitionsPaused)] == ["it is down"]


def test_a_rewound_batch_is_read_again_up_to_the_unknown_writer() -> None:
    world = World({A: [1, 1, 2], B: [1]}, {1})
    source = world.open()
    batch = source.read(100, 0)
    assert batch is not None

    source.rewind(batch.cursor)
    again = source.read(100, 0)

    assert rows(again) == rows(batch) == {A: [0, 1], B: [0]}
    assert world.paused() == [(A,)]


def test_a_revoked_partition_does_not_wait_any_more() -> None:
    world = World({A: [2], B: [1, 1]}, {1})
    source = world.open()
    source.read(1, 0)
    source.read(1, 0)

    world.log.assign([B])
    read_until(world, source, lambda: source.finished)

    assert world.paused()[-1] == ()


def test_a_partition_that_is_assigned_again_waits_from_the_committed_offset() -> None:
    world = World({A: [1, 2], B: []}, {1})
    source = world.open()
    source.read(100, 0)

    world.log.assign(None)
    batch = source.read(100, 0)

    assert rows(batch) == {A: [0]}
    assert list(world.memory.paused) == [A]


def test_records_without_a_writer_id_do_not_wait() -> None:
    log = MemoryLog({A: [StoredRecord(b"garbage"), StoredRecord(None), StoredRecord(b"")]})
    source = SchemaGatedSource(MemorySource(log), WriterSchemas(_never), observe=_ignore)

    batch = source.read(100, 0)

    assert rows(batch) == {A: [0, 1, 2]}
    assert batch is not None
    assert heads(batch.values, batch.headers) == [NO_HEAD] * 3


def _never(head: bytes) -> Writer:
    raise AssertionError(head)


def _ignore(event: Event) -> None:
    """Ignore every event."""
