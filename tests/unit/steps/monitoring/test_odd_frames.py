"""Frames with one odd field each: what no worker writes is refused and told, and the monitor goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Span
from stream_infer.steps.monitoring.monitor import MonitorStep
from tests.support import label_records
from tests.support.odd_frames import LEAST, MOST, READ_MS, REFUSED, TAKEN, WINDOW, not_frames, odd_frames
from tests.unit.steps.monitoring.recorded import FRAMES, PIPELINE, RECORDS, monitor_step

GOOD = [one.value for one in RECORDS if one.source == FRAMES]
ODD = [*odd_frames(REFUSED, GOOD[0]), *not_frames(GOOD[0])]
NAMES = [*(f"{name}-{str(odd)[:24]}" for name, values in REFUSED.items() for odd in values)]


def take(step: MonitorStep, values: Sequence[bytes | None], first: int, time_ms: int = READ_MS) -> Outcome:
    """Give `values` to `step` as a batch of frames from offset `first` on; its state must be readable."""
    count = len(values)
    outcome = step(
        Batch(
            cursor=Cursor({FRAMES: Span(first, first + count)}),
            partitions=[FRAMES],
            partition=[0] * count,
            offset=list(range(first, first + count)),
            timestamp_ms=[time_ms] * count,
            keys=[None] * count,
            values=values,
            headers=[None] * count,
            received_ms=READ_MS,
        )
    )
    for output in outcome.outputs:
        if output.channel is Channel.STATE:
            [json.loads(value) for value in output.values if value is not None]
    return outcome


def events(outcome: Outcome) -> list[dict[str, Any]]:
    values = [v for out in outcome.outputs if out.channel is Channel.EVENTS for v in out.values]
    return [label_records.event(value or b"") for value in values]


@pytest.mark.parametrize("value", ODD, ids=[*NAMES, *map(str, range(len(ODD) - len(NAMES)))])
def test_a_frame_that_no_worker_writes_is_refused_and_the_next_one_counts(value: bytes | None) -> None:
    step = monitor_step()

    refused = take(step, [value, GOOD[0]], 0).rejected

    assert [(one.row, one.error_class) for one in refused] == [(0, DeadLetterClass.INVALID)]
    assert len(refused[0].message) < 2_000
    assert step.records == WINDOW


@pytest.mark.parametrize("value", odd_frames(TAKEN, GOOD[0]))
def test_a_frame_at_the_edge_of_what_a_worker_writes_is_taken(value: bytes | None) -> None:
    step = monitor_step()

    assert take(step, [value, GOOD[0]], 0).rejected == []
    assert step.records == 2 * WINDOW


@pytest.mark.parametrize("name", TAKEN)
def test_windows_of_edges_stay_finite_and_their_state_is_taken_up_again(name: str) -> None:
    """A stream of such frames only, and one that returns to them from good ones."""
    for calm in (0, 30):
        step, state = monitor_step(), {}
        for at, value in enumerate(GOOD):
            choices = odd_frames({name: TAKEN[name]}, value)
            outcome = take(step, [value if at < calm else choices[at % len(choices)]], at)
            assert outcome.rejected == []
            for output in outcome.outputs:
                if output.channel is Channel.STATE:
                    keys = [(key or b"").decode().removeprefix(f"{PIPELINE}/") for key in output.keys]
                    state |= dict(zip(keys, output.values, strict=True))
        step.restore({key: value for key, value in state.items() if value is not None})


@pytest.mark.parametrize("time_ms", [-1, 0, LEAST, MOST, 253_402_300_800_000])
def test_the_time_of_a_record_can_be_anything(time_ms: int) -> None:
    step = monitor_step()

    told = [event for at, value in enumerate(GOOD) for event in events(take(step, [value, b""], at, time_ms))]

    assert {"drift.detected", "quality"} <= {event["type"] for event in told}


def test_refused_frames_change_no_event_of_the_good_ones_and_are_told_once() -> None:
    alone, among = monitor_step(), monitor_step()

    expected = [event for at, value in enumerate(GOOD) for event in events(take(alone, [value], at))]
    told, refused = [], 0
    for at, value in enumerate(GOOD):
        outcome = take(among, [ODD[at % len(ODD)], value, ODD[-at % len(ODD)]], 3 * at)
        told += events(outcome)
        refused += len(outcome.rejected)

    about = [event for event in told if event["attributes"].get("reason") == "refused_frames"]
    assert [event["attributes"]["frames"] for event in about] == ["2"]
    assert [event["id"] for event in told if event not in about] == [event["id"] for event in expected]
    assert refused == 2 * len(GOOD)


def test_refused_frames_are_told_again_after_an_hour_with_all_since_and_over_a_restart() -> None:
    step, state = monitor_step(), {}
    told = []
    for at, minute in enumerate((0, 20, 59, 60, 61)):
        outcome = take(step, [b""] * 10, 10 * at, READ_MS - 3_600_000 * 3 + minute * 60_000)
        told += events(outcome)
        for output in outcome.outputs:
            if output.channel is Channel.STATE:
                keys = [(key or b"").decode().removeprefix(f"{PIPELINE}/") for key in output.keys]
                state |= dict(zip(keys, output.values, strict=True))
        step = monitor_step()
        step.restore({key: value for key, value in state.items() if value is not None})

    assert [(event["attributes"]["frames"], event["attributes"]["total"]) for event in told] == [
        ("10", "10"),
        ("30", "40"),
    ]
    assert {event["severity"] for event in told} == {"warning"}
