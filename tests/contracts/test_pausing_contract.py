"""The contract of a source that can pause partitions: see `kafka.pausable_source`."""

from __future__ import annotations

from typing import cast

from stream_infer.flow.records import Batch, Partition
from stream_infer.kafka.pausable_source import PausableSource
from tests.contracts.rigs import Rig, copy_of, read_all, values_by_partition


def opened(rig: Rig) -> PausableSource:
    source, _ = rig.open()
    return cast("PausableSource", source)


def read_first(source: PausableSource, count: int) -> tuple[list[Batch], dict[int, Partition]]:
    """Return batches with `count` records, and the partitions by their index."""
    batches = read_all(source, count)
    return batches, {p.index: p for batch in batches for p in batch.partitions}


def remaining(source: PausableSource, least: int = 0) -> dict[int, list[bytes | None]]:
    """Return all further values by partition: wait for `least` records, then read until none come."""
    batches = read_all(source, least)
    while (batch := source.read(100, 1.0)) is not None:
        batches.append(batch)
    return values_by_partition(batches)


def test_a_paused_partition_is_not_read_while_the_others_are(endless_rig: Rig) -> None:
    endless_rig.append(0, [b"a0", b"a1", b"a2"])
    endless_rig.append(1, [b"b0"])
    source = opened(endless_rig)
    _, partitions = read_first(source, 4)

    source.pause({partitions[0]: 1})
    endless_rig.append(0, [b"a3"])
    endless_rig.append(1, [b"b1"])

    assert remaining(source, 1) == {1: [b"b1"]}
    assert set(source.paused) == {partitions[0]}


def test_a_resumed_partition_is_read_from_the_paused_offset(endless_rig: Rig) -> None:
    endless_rig.append(0, [b"a0", b"a1", b"a2"])
    endless_rig.append(1, [b"b0"])
    source = opened(endless_rig)
    _, partitions = read_first(source, 4)
    source.pause({partitions[0]: 1})
    assert remaining(source) == {}

    source.resume([partitions[0]])

    assert remaining(source, 2) == {0: [b"a1", b"a2"]}
    assert not source.paused


def test_a_paused_partition_that_is_rewound_is_read_from_there_once_resumed(endless_rig: Rig) -> None:
    endless_rig.append(0, [b"a0", b"a1", b"a2"])
    source = opened(endless_rig)
    batches, partitions = read_first(source, 3)
    source.pause({partitions[0]: 2})

    for batch in reversed(batches):
        source.rewind(batch.cursor)
    assert remaining(source) == {}
    source.resume([partitions[0]])

    assert remaining(source, 3) == {0: [b"a0", b"a1", b"a2"]}


def test_a_partition_that_was_revoked_and_assigned_again_is_not_paused(atomic_rig: Rig) -> None:
    atomic_rig.append(0, [b"a0"])
    atomic_rig.append(1, [b"b0"])
    opened_source, sink = atomic_rig.open()
    source = cast("PausableSource", opened_source)
    batches, partitions = read_first(source, 2)
    for batch in batches:
        sink.commit(copy_of(batch))
    source.pause(dict.fromkeys(partitions.values(), 1))

    atomic_rig.lose_assignment()
    atomic_rig.append(0, [b"a1"])
    atomic_rig.append(1, [b"b1"])
    seen = values_by_partition(read_all(source, 1))

    # The broker decides which partitions move. A partition that stayed with the member is still paused.
    assert seen
    assert not {partitions[index] for index in seen} & set(source.paused)


def test_a_partition_of_another_member_cannot_be_paused(endless_rig: Rig) -> None:
    endless_rig.append(0, [b"a0"])
    source = opened(endless_rig)
    read_first(source, 1)

    source.pause({Partition("elsewhere", 0): 5})

    assert not source.paused
