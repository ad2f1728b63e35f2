from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from stream_infer.drift.frames import ColumnSummary, ObservationFrame
from stream_infer.flow.records import Partition
from stream_infer.steps.observing.frame_check import check_frame

SUMMARY = ColumnSummary("amount", "feature.number", 3, 0, 0, 2.0, 2.0, 1.0, 3.0, (0, 3, 0))
FRAME = ObservationFrame(
    version="1.0.0",
    digest="sha256:0",
    source=Partition("events", 0),
    first_offset=10,
    last_offset=12,
    window_first_offset=0,
    window_last_offset=99,
    first_time_ms=1,
    last_time_ms=2,
    records=3,
    dead_letters=0,
    sampled=3,
    signals=(SUMMARY,),
)


def with_numbers(changed: dict[str, Any]) -> ColumnSummary:
    return replace(SUMMARY, **changed)


def test_a_frame_of_our_own_passes() -> None:
    check_frame(FRAME)


@pytest.mark.parametrize(
    "name", ["records", "dead_letters", "sampled", "first_offset", "window_first_offset"]
)
def test_negative_numbers_of_a_frame_are_refused(name: str) -> None:
    changed: dict[str, Any] = {name: -1}
    with pytest.raises(ValueError, match="not an observation frame"):
        check_frame(replace(FRAME, **changed))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["mean", "m2", "low", "high"])
def test_moments_that_are_no_numbers_are_refused(name: str, number: float) -> None:
    with pytest.raises(ValueError, match="moment of 'amount'"):
        check_frame(replace(FRAME, signals=(with_numbers({name: number}),)))


@pytest.mark.parametrize("changed", [{"count": -1}, {"nulls": -1}, {"non_finite": 2**60}, {"bins": (1, -1)}])
def test_counts_that_cannot_be_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="count of 'amount'"):
        check_frame(replace(FRAME, signals=(with_numbers(changed),)))


def test_offsets_beyond_their_window_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond its window"):
        check_frame(replace(FRAME, last_offset=100))
