"""What a member owns between two rebalances, and which batches it may still commit."""

from __future__ import annotations

import pytest

from stream_infer.flow.errors import Aborted, Fatal
from stream_infer.flow.records import Partition, Span
from stream_infer.kafka.assignment import Assignment, Lease

A, B, C = (Partition("events", index) for index in range(3))


def owning(*partitions: Partition, metadata: object = "generation 1") -> Assignment:
    assignment = Assignment()
    assignment.assign(dict.fromkeys(partitions, 10), metadata)
    return assignment


def test_nothing_is_owned_before_the_group_assigns() -> None:
    assignment = Assignment()

    assert assignment.positions == {}
    assert assignment.lease == Lease(0, None)


def test_an_assigned_partition_is_read_from_its_offset() -> None:
    assignment = owning(A)

    assignment.assign({B: 7}, "generation 2")

    assert assignment.positions == {A: 10, B: 7}
    assert assignment.lease == Lease(2, "generation 2")


def test_a_batch_of_the_same_epoch_may_be_committed() -> None:
    assignment = owning(A)

    assert assignment.check(assignment.lease) is assignment.lease


@pytest.mark.parametrize("change", ["assign", "revoke"])
def test_a_batch_read_before_a_change_of_the_assignment_may_not(change: str) -> None:
    assignment = owning(A, B)
    lease = assignment.lease

    if change == "assign":
        assignment.assign({C: 0}, "generation 2")
    else:
        assignment.revoke([B])

    with pytest.raises(Aborted, match="older assignment"):
        assignment.check(lease)


def test_not_even_when_the_metadata_is_that_of_before() -> None:
    assignment = owning(A, B)
    lease = assignment.lease

    assignment.revoke([B])

    assert assignment.lease.group_metadata == lease.group_metadata  # the coordinator would take it
    with pytest.raises(Aborted):
        assignment.check(lease)


@pytest.mark.parametrize("lease", [None, "generation 1", Lease(0, None), Lease(2, "generation 1")])
def test_what_is_no_lease_of_this_epoch_is_none(lease: object) -> None:
    with pytest.raises(Aborted):
        owning(A).check(lease)


def test_new_metadata_in_the_same_epoch_keeps_batches_committable() -> None:
    assignment = owning(A)
    lease = assignment.lease

    assignment.renew("generation 1, again")

    assert assignment.check(lease) == lease
    assert assignment.lease == Lease(lease.epoch, "generation 1, again")


def test_a_revoked_partition_leaves_nothing_behind() -> None:
    assignment = owning(A, B)
    assignment.pause([A, B])
    assignment.ended.update([A, B])

    assignment.revoke([A, C])

    assert assignment.positions == {B: 10}
    assert assignment.paused == {B}
    assert assignment.ended == {B}


def test_callbacks_touch_partitions_until_the_next_read_begins() -> None:
    assignment = owning(A, B)
    assignment.revoke([B])
    assert assignment.touched == {A, B}

    assignment.begin_read()

    assert assignment.touched == set()


def test_reading_moves_the_positions_and_tells_those_of_before() -> None:
    assignment = owning(A, B)

    before = assignment.advance({A: Span(12, 20)})

    assert before == {A: 12, B: 10}  # offsets 10 and 11 are not in the log
    assert assignment.positions == {A: 20, B: 10}


def test_a_partition_never_goes_back_by_itself() -> None:
    assignment = owning(A)
    assignment.advance({A: Span(10, 20)})

    with pytest.raises(Fatal, match="events/0 went back from offset 20 to 19"):
        assignment.advance({A: Span(19, 25)})


def test_it_goes_back_where_it_is_told_to_and_has_not_ended_then() -> None:
    assignment = owning(A)
    assignment.advance({A: Span(10, 20)})
    assignment.ended.add(A)

    assignment.reposition(A, 15)

    assert assignment.positions == {A: 15}
    assert assignment.ended == set()
    assignment.advance({A: Span(15, 20)})


def test_only_what_was_paused_is_resumed() -> None:
    assignment = owning(A, B, C)
    assignment.pause([A, B])

    assert assignment.resume([B, C]) == {B}
    assert assignment.paused == {A}
