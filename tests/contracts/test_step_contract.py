"""The contract of Step, for every implementation."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.flow.ports import Step
from stream_infer.flow.records import Batch
from stream_infer.steps.scoring.activation import Announcer
from tests.unit.steps.world import GIVES_NAN, RAISES, batch, event, score

VALUES = [event(1.0), b"", None, event(RAISES), event(GIVES_NAN), event(2.0)]


def announcing() -> Step:
    writer = RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE)
    return score(announcer=Announcer("p", "0", writer))


@pytest.fixture(params=[score, announcing], ids=["score", "score with announcements"])
def make(request: pytest.FixtureRequest) -> Callable[[], Step]:
    """Return the factory of each implementation in turn."""
    step: Callable[[], Step] = request.param
    return step


@pytest.fixture
def read() -> Batch:
    return batch(VALUES)


def test_an_outcome_has_the_cursor_of_its_batch(make: Callable[[], Step], read: Batch) -> None:
    assert make()(read).cursor is read.cursor


def test_every_record_is_predicted_rejected_or_skipped(make: Callable[[], Step], read: Batch) -> None:
    outcome = make()(read)

    assert outcome.predicted + len(outcome.rejected) + outcome.skipped == len(read)


def test_the_columns_of_an_output_are_of_one_length(make: Callable[[], Step], read: Batch) -> None:
    for output in make()(read).outputs:
        assert len(output.keys) == len(output.headers) == len(output)
        assert len(output.rows) in (0, len(output))
        assert output.partitions is None or len(output.partitions) == len(output)


def test_a_batch_that_is_read_again_after_an_abort_has_the_same_outcome(
    make: Callable[[], Step], read: Batch
) -> None:
    step = make()
    first = step(read)

    step.forget()

    assert step(read) == first


def test_forget_is_idempotent_and_harmless_before_the_first_batch(
    make: Callable[[], Step], read: Batch
) -> None:
    step = make()
    step.forget()
    step.forget()

    assert step(read) == make()(read)


def test_an_empty_batch_has_an_empty_outcome(make: Callable[[], Step]) -> None:
    outcome = make()(batch([]))

    assert (outcome.predicted, list(outcome.rejected), outcome.skipped) == (0, [], 0)
