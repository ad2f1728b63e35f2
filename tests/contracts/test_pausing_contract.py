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


def rest(source: PausableSource, least: int = 0) -> dict[int, list[bytes | None]]:
    """Return `least` records, waiting for them as long as a busy machine needs, and what comes after them."""
    batches = read_all(source, least)
    while (batch := source.read(100, 1.0)) is not None:
        batches.append(batch)
    return values_by_partition(batches)


def test_a_held_partition_waits_while_the_others_go_on(rig: Rig) -> None:
    rig.append(0, [b"a0", b"a1", b"a2"])
    rig.append(1, [b"b0"])
    source = opened(rig)
    _, partitions = read_first(source, 4)

    source.pause({partitions[0]: 1})
    rig.append(0, [b"a3"])
    rig.append(1, [b"b1"])

    assert rest(source, 1) == {1: [b"b1"]}
    assert set(source.paused) == {partitions[0]}


def test_a_released_partition_goes_on_where_it_was_held(rig: Rig) -> None:
    rig.append(0, [b"a0", b"a1", b"a2"])
    rig.append(1, [b"b0"])
    source = opened(rig)
    _, partitions = read_first(source, 4)
    source.pause({partitions[0]: 1})
    assert rest(source) == {}

    source.resume([partitions[0]])

    assert rest(source, 2) == {0: [b"a1", b"a2"]}
    assert not source.paused


def test_a_rewound_partition_goes_on_there_when_it_is_released(rig: Rig) -> None:
    rig.append(0, [b"a0", b"a1", b"a2"])
    source = opened(rig)
    batches, partitions = read_first(source, 3)
    source.pause({partitions[0]: 2})

    for batch in reversed(batches):
        source.rewind(batch.cursor)
    assert rest(source) == {}
    source.resume([partitions[0]])

    assert rest(source, 3) == {0: [b"a0", b"a1", b"a2"]}


def test_a_partition_that_moved_away_and_came_back_is_not_held(atomic_rig: Rig) -> None:
    atomic_rig.append(0, [b"a0"])
    atomic_rig.append(1, [b"b0"])
    source, sink = atomic_rig.open()
    held = cast("PausableSource", source)
    batches, partitions = read_first(held, 2)
    for batch in batches:
        sink.commit(copy_of(batch))
    held.pause(dict.fromkeys(partitions.values(), 1))

    atomic_rig.lose_assignment()
    atomic_rig.append(0, [b"a1"])
    atomic_rig.append(1, [b"b1"])
    seen = values_by_partition(read_all(held, 1))

    # Whichever of the two had moved; with a member that came and went, one of them stays and is still held.
    assert seen
    assert not {partitions[index] for index in seen} & set(held.paused)


def test_partitions_of_others_cannot_be_held(rig: Rig) -> None:
    rig.append(0, [b"a0"])
    source = opened(rig)
    read_first(source, 1)

    source.pause({Partition("elsewhere", 0): 5})

    assert not source.paused
