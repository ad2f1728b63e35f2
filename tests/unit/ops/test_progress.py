from __future__ import annotations

import dataclasses

import pytest

from stream_infer.flow.events import (
    AssignmentChanged,
    BatchAborted,
    BatchCommitted,
    ClientFailed,
    Degraded,
    Event,
    LagMeasured,
    ProducerRenewed,
    ReadFinished,
    TopicsMissing,
)
from stream_infer.flow.records import Partition
from stream_infer.ops.progress import Aborting, ClientTrouble, LoopState, Progress, ProgressCell, advance

OWNED = (Partition("in", 0), Partition("in", 3))


@pytest.mark.parametrize(
    "event",
    [
        ReadFinished(0, 0.5),
        BatchCommitted(1, 1, 0, {}, "1.0.0", 0.1, 0.1),
        BatchAborted(1, "fenced", OWNED),
        AssignmentChanged("assigned", OWNED),
        ProducerRenewed("in doubt", 0.1),
        ClientFailed("3/3 brokers are down"),
        LagMeasured({}),
        Degraded(("observations.v1 does not exist",), 0),
        TopicsMissing(("in",)),
    ],
)
def test_any_event_shows_that_the_loop_is_alive(event: Event) -> None:
    assert advance(Progress(active_at=1.0), event, now=9.0).active_at == 9.0


def test_a_worker_without_partitions_has_joined_all_the_same() -> None:
    progress = advance(Progress(active_at=0.0), AssignmentChanged("assigned", ()), now=1.0)

    assert progress.joined
    assert progress.owned == ()


def test_a_revocation_before_any_assignment_is_not_a_join() -> None:
    assert not advance(Progress(active_at=0.0), AssignmentChanged("revoked", ()), now=1.0).joined


def test_revoked_partitions_leave_the_worker_joined_and_lost_ones_do_not() -> None:
    assigned = advance(Progress(active_at=0.0), AssignmentChanged("assigned", OWNED), now=1.0)

    revoked = advance(assigned, AssignmentChanged("revoked", OWNED[:1]), now=2.0)
    lost = advance(assigned, AssignmentChanged("lost", ()), now=2.0)

    assert (revoked.joined, revoked.owned) == (True, OWNED[:1])
    assert (lost.joined, lost.owned) == (False, ())


def test_aborts_count_from_the_first_one_after_a_commit() -> None:
    committed = BatchCommitted(1, 1, 0, {}, "1.0.0", 0.1, 0.1)
    once = advance(Progress(active_at=0.0), BatchAborted(1, "timed out", OWNED), now=1.0)
    read = advance(once, ReadFinished(1, 0.5), now=2.0)

    twice = advance(read, BatchAborted(1, "fenced", OWNED), now=3.0)

    assert twice.aborting == Aborting(1.0, "fenced", OWNED)
    assert advance(twice, committed, now=4.0).aborting is None


def test_aborts_go_on_counting_when_the_same_partitions_come_back() -> None:
    progress = advance(Progress(active_at=0.0), BatchAborted(1, "left the group", OWNED), now=1.0)
    for kind, owned in (("lost", ()), ("assigned", OWNED), ("revoked", OWNED[1:]), ("assigned", OWNED[1:])):
        progress = advance(progress, AssignmentChanged(kind, owned), now=2.0)

    assert progress.aborting == Aborting(1.0, "left the group", OWNED)


def test_aborts_are_over_when_another_worker_has_the_records() -> None:
    aborted = advance(Progress(active_at=0.0), BatchAborted(1, "left the group", OWNED[:1]), now=1.0)

    elsewhere = advance(aborted, AssignmentChanged("assigned", OWNED[1:]), now=2.0)

    assert elsewhere.aborting is None


def test_a_batch_of_the_model_before_does_not_change_the_serving_version() -> None:
    cell = ProgressCell(clock=lambda: 0.0)
    cell.serve("1.1.0")

    cell(BatchCommitted(1, 1, 0, {}, "1.0.0", 0.1, 0.1))

    assert cell.current.model_version == "1.1.0"


def test_the_cell_replaces_its_value_whole_and_never_edits_it() -> None:
    ticks = iter([0.0, 1.0, 2.0, 3.0])
    cell = ProgressCell(clock=lambda: next(ticks))
    first = cell.current

    cell.enter(LoopState.RUNNING)
    cell.serve("1.0.0")
    cell(AssignmentChanged("assigned", OWNED))

    assert first == Progress(active_at=0.0)
    assert cell.current == Progress(
        active_at=3.0, state=LoopState.RUNNING, joined=True, owned=OWNED, model_version="1.0.0"
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.joined = True  # type: ignore[misc]


@pytest.mark.parametrize(
    "success", [BatchCommitted(1, 1, 0, {}, "1.0.0", 0.1, 0.1), AssignmentChanged("assigned", OWNED)]
)
def test_the_last_failure_of_a_client_is_kept_until_the_broker_serves_again(success: Event) -> None:
    progress = Progress(active_at=0.0)
    for now, event in ((1.0, ClientFailed("disconnected")), (2.0, ClientFailed("3/3 brokers are down"))):
        progress = advance(progress, event, now=now)
    lost = advance(progress, AssignmentChanged("lost", ()), now=3.0)

    assert lost.trouble == ClientTrouble(2.0, "3/3 brokers are down")
    assert advance(lost, success, now=4.0).trouble is None


def test_input_topics_are_missing_until_they_are_back() -> None:
    missing = advance(Progress(active_at=1.0), TopicsMissing(("in",)), now=2.0)

    assert missing.missing == ("in",)
    assert advance(missing, TopicsMissing(()), now=3.0).missing == ()
