"""What `offsets reset --to` takes, and what each move means."""

from __future__ import annotations

import pytest

from stream_infer.cli.resetting import parse_place
from stream_infer.flow.errors import Misconfigured
from stream_infer.flow.records import Partition
from stream_infer.kafka.ranges import END, START, RangeBound


def test_the_ends_of_the_log_have_names() -> None:
    assert parse_place("earliest") == START
    assert parse_place("latest") == END


def test_a_time_is_a_place_in_every_partition() -> None:
    assert parse_place("1970-01-01T00:00:01Z") == RangeBound(moment_ms=1000)


def test_ids_of_events_name_offsets_of_their_partitions() -> None:
    assert parse_place("payments.events/0/7, payments.events/12/0") == {
        Partition("payments.events", 0): 7,
        Partition("payments.events", 12): 0,
    }


@pytest.mark.parametrize(
    "where", ["7", "newest", "a/b", "events/0", "events/0/-1", "events/0/1,", "events/0/x"]
)
def test_anything_else_is_refused_with_an_example(where: str) -> None:
    with pytest.raises(Misconfigured) as failed:
        parse_place(where)

    [problem] = failed.value.problems
    assert problem.key == "--to"
    assert "for example" in problem.fix
