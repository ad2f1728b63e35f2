"""The contract of Source and Sink, for every implementation of the pair."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_infer.flow.errors import Aborted
from tests.contracts.rigs import Rig, copy_of, read_all, values_by_partition


def test_a_read_without_records_returns_none(rig: Rig) -> None:
    source, _ = rig.open()

    assert source.read(10, 0.01) is None


def test_a_batch_has_at_most_limit_records_in_order_of_their_partition(rig: Rig) -> None:
    rig.append(0, [b"a%d" % i for i in range(25)])
    rig.append(1, [b"b%d" % i for i in range(5)])

    source, _ = rig.open()
    batches = read_all(source, 30, limit=7)

    assert max(map(len, batches)) <= 7
    assert values_by_partition(batches) == {
        0: [b"a%d" % i for i in range(25)],
        1: [b"b%d" % i for i in range(5)],
    }


def test_the_cursor_spans_exactly_the_rows(rig: Rig) -> None:
    rig.append(0, [b"a", b"b", b"c"])
    rig.append(1, [b"d"])

    source, _ = rig.open()
    batches = read_all(source, 4)

    covered = sum(span.next - span.first for b in batches for span in b.cursor.spans.values())
    assert covered == 4
    for batch in batches:
        for row in range(len(batch)):
            span = batch.cursor.spans[batch.source(row)]
            assert span.first <= batch.offset[row] < span.next


def test_a_batch_has_the_position_of_every_owned_partition(rig: Rig) -> None:
    rig.append(0, [b"a", b"b", b"c"])
    source, _ = rig.open()

    batches = read_all(source, 3, limit=2)

    first_of = {p: span.first for p, span in batches[-1].cursor.spans.items()}
    assert {p.index for p in batches[-1].positions} == {0, 1}
    assert {p: batches[-1].positions[p] for p in first_of} == first_of
    assert batches[0].assignment == batches[-1].assignment


def test_a_partition_has_ended_only_when_all_of_it_was_read(rig: Rig) -> None:
    rig.append(0, [b"a%d" % i for i in range(40)])
    source, _ = rig.open()

    for batch in read_all(source, 40, limit=7):
        read = {p.index: span.next for p, span in batch.cursor.spans.items()}
        assert read[0] == 40 or {p.index for p in batch.ended} <= {1}


def test_an_empty_partition_ends_while_another_grows(endless_rig: Rig) -> None:
    source, _ = endless_rig.open()

    for _ in range(100):  # the broker reports the end of a partition with a later fetch
        endless_rig.append(0, [b"b"])
        [batch] = read_all(source, 1)
        if any(p.index == 1 for p in batch.ended):
            return
    raise AssertionError("the empty partition never ended")


def test_a_tombstone_is_read_as_none(rig: Rig) -> None:
    rig.append(0, [None])

    source, _ = rig.open()

    assert read_all(source, 1)[0].values[0] is None


def test_committed_outputs_are_visible_and_not_read_again_by_the_next_member(rig: Rig) -> None:
    rig.append(0, [b"a", b"b"])
    source, sink = rig.open()
    for batch in read_all(source, 2):
        sink.commit(copy_of(batch))

    rig.append(0, [b"c"])
    source, sink = rig.open()
    for batch in read_all(source, 1):
        sink.commit(copy_of(batch))

    assert rig.visible() == [(0, b"a"), (0, b"b"), (0, b"c")]


def test_records_without_a_commit_are_read_again_by_the_next_member(rig: Rig) -> None:
    rig.append(0, [b"a", b"b"])
    source, _ = rig.open()
    read_all(source, 2)

    source, _ = rig.open()

    assert values_by_partition(read_all(source, 2)) == {0: [b"a", b"b"]}


def test_rewind_reads_the_same_records_again(rig: Rig) -> None:
    rig.append(0, [b"a%d" % i for i in range(10)])
    source, sink = rig.open()
    batches = read_all(source, 10)

    for batch in reversed(batches):
        source.rewind(batch.cursor)
    again = read_all(source, 10)

    assert values_by_partition(again) == values_by_partition(batches)
    for batch in again:
        sink.commit(copy_of(batch))
    assert rig.visible() == [(0, b"a%d" % i) for i in range(10)]


def test_a_commit_after_a_lost_assignment_is_aborted_and_invisible(atomic_rig: Rig) -> None:
    atomic_rig.append(0, [b"a"])
    source, sink = atomic_rig.open()
    [batch] = read_all(source, 1)
    atomic_rig.lose_assignment()

    with pytest.raises(Aborted):
        sink.commit(copy_of(batch))

    assert atomic_rig.visible() == []


def test_after_an_abort_the_rewound_records_are_committed_once(atomic_rig: Rig) -> None:
    atomic_rig.append(0, [b"a", b"b"])
    atomic_rig.append(1, [b"c"])
    source, sink = atomic_rig.open()
    [batch] = read_all(source, 1)
    atomic_rig.lose_assignment()

    aborts = 0
    while len(atomic_rig.visible()) < 3:
        try:
            sink.commit(copy_of(batch))
        except Aborted:
            aborts += 1
            source.rewind(batch.cursor)
        [batch, *_] = read_all(source, 1) if len(atomic_rig.visible()) < 3 else [batch]

    assert aborts >= 1
    assert sorted(atomic_rig.visible()) == [(0, b"a"), (0, b"b"), (1, b"c")]


def test_an_outcome_without_outputs_still_commits_its_offsets(rig: Rig) -> None:
    rig.append(0, [b"skipped", b"answered"])
    source, sink = rig.open()
    [first] = read_all(source, 1, limit=1)
    sink.commit(replace(copy_of(first), outputs=[], predicted=0, skipped=1))

    source, sink = rig.open()
    for batch in read_all(source, 1):
        sink.commit(copy_of(batch))

    assert rig.visible() == [(0, b"answered")]
