"""Positions, epochs and leases of an assignment, and the batches that may be committed under it."""

from __future__ import annotations

import pytest

from stream_infer.flow.errors import Aborted, Fatal
from stream_infer.flow.records import Partition, Span
from stream_infer.kafka.assignment import Assignment, Lease, epoch_before, passed_ends

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
def test_a_batch_read_before_a_change_of_the_assignment_may_not_be_committed(change: str) -> None:
    assignment = owning(A, B)
    lease = assignment.lease

    if change == "assign":
        assignment.assign({C: 0}, "generation 2")
    else:
        assignment.revoke([B])

    with pytest.raises(Aborted, match="older assignment"):
        assignment.check(lease)


def test_a_batch_of_an_older_epoch_is_refused_even_under_the_same_metadata() -> None:
    assignment = owning(A, B)
    lease = assignment.lease

    assignment.revoke([B])

    assert assignment.lease.group_metadata == lease.group_metadata  # the coordinator would accept it
    with pytest.raises(Aborted):
        assignment.check(lease)


@pytest.mark.parametrize("lease", [None, "generation 1", Lease(0, None), Lease(2, "generation 1")])
def test_only_a_lease_of_the_current_epoch_is_accepted(lease: object) -> None:
    with pytest.raises(Aborted):
        owning(A).check(lease)


def test_new_metadata_in_the_same_epoch_keeps_batches_committable() -> None:
    assignment = owning(A)
    lease = assignment.lease

    assignment.renew("generation 1, again")

    assert assignment.check(lease) == lease
    assert assignment.lease == Lease(lease.epoch, "generation 1, again")


def test_a_revoked_partition_is_in_no_set_of_the_assignment() -> None:
    assignment = owning(A, B)
    assignment.pause([A, B])
    assignment.ended.update({A: 10, B: 10})

    assignment.revoke([A, C])

    assert assignment.positions == {B: 10}
    assert assignment.paused == {B}
    assert assignment.ended == {B: 10}


def test_callbacks_touch_partitions_until_the_next_read_begins() -> None:
    assignment = owning(A, B)
    assignment.revoke([B])
    assert assignment.touched == {A, B}

    assignment.begin_read()

    assert assignment.touched == set()


def test_reading_advances_the_positions_and_returns_the_earlier_ones() -> None:
    assignment = owning(A, B)

    before = assignment.advance({A: Span(12, 20)})

    assert before == {A: 12, B: 10}  # offsets 10 and 11 are not in the log
    assert assignment.positions == {A: 20, B: 10}


def test_a_span_before_the_position_is_fatal() -> None:
    assignment = owning(A)
    assignment.advance({A: Span(10, 20)})

    with pytest.raises(Fatal, match="events/0 went back from offset 20 to 19"):
        assignment.advance({A: Span(19, 25)})


def test_a_repositioned_partition_is_read_from_there_and_has_not_ended() -> None:
    assignment = owning(A)
    assignment.advance({A: Span(10, 20)})
    assignment.ended[A] = 20

    assignment.reposition(A, 15)

    assert assignment.positions == {A: 15}
    assert assignment.ended == {}
    assignment.advance({A: Span(15, 20)})


def test_only_paused_partitions_are_resumed() -> None:
    assignment = owning(A, B, C)
    assignment.pause([A, B])

    assert assignment.resume([B, C]) == {B}
    assert assignment.paused == {A}


def test_only_an_end_behind_records_that_are_all_committed_is_passed() -> None:
    assignment = owning(A, B)
    assignment.advance({A: Span(10, 20), B: Span(10, 20)})
    assignment.ended.update({A: 21, B: 21, C: 21})

    assert passed_ends(assignment, {A: 20, B: 19, C: 21}) == {A: 21}


def test_a_passed_end_is_passed_once_and_again_when_it_has_moved() -> None:
    assignment = owning(A)
    assignment.ended[A] = 12
    assignment.commit(passed_ends(assignment, assignment.committed))
    assert passed_ends(assignment, assignment.committed) == {}
    assert assignment.positions == {A: 12}

    assignment.ended[A] = 14  # an aborted record and its marker

    assert passed_ends(assignment, assignment.committed) == {A: 14}


def test_an_end_is_not_passed_after_a_rewind() -> None:
    assignment = owning(A)
    assignment.advance({A: Span(10, 20)})
    assignment.ended[A] = 21

    assignment.reposition(A, 10)

    assert passed_ends(assignment, {A: 10}) == {}


def test_a_halted_partition_is_resumed_only_after_it_was_revoked() -> None:
    assignment = owning(A)
    assignment.halted[A] = "offset lost"
    assignment.pause([A])
    assert assignment.resume([A]) == set()

    assignment.revoke([A])

    assert (assignment.halted, assignment.paused) == ({}, set())


def test_the_leader_epoch_is_that_of_the_record_before_the_committed_offset_only() -> None:
    assignment = owning(A)
    assert epoch_before(assignment, A, 10) is None

    assignment.commit({A: 12}, {A: 4})
    assert [epoch_before(assignment, A, offset) for offset in (11, 12, 13)] == [None, 4, None]

    assignment.revoke([A])
    assert epoch_before(assignment, A, 12) is None
