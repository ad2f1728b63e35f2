"""Sentences about drift name what moved, also where a few extreme values point the other way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.drift_streams import Stream, frames, reference, shift
from stream_infer.drift.frames import FEATURE_NUMBER, ColumnSummary, ObservationFrame
from stream_infer.drift.incident import IncidentOpened
from stream_infer.drift.monitor import Monitor, MonitorPolicy
from stream_infer.steps.monitoring.drift_event import opened_event
from stream_infer.steps.monitoring.drift_text import quantile
from stream_infer.steps.monitoring.event_context import EventContext


@pytest.mark.parametrize(("part", "value"), [(0.0, 1.0), (0.25, 1.5), (0.5, 2.0), (0.75, 3.0), (1.0, 4.0)])
def test_a_quantile_is_found_within_its_bin(part: float, value: float) -> None:
    assert quantile((0, 2, 2, 0), (1.0, 2.0, 4.0), part) == value


def test_values_outside_of_the_edges_count_as_the_outer_edges() -> None:
    assert quantile((3, 0, 1), (1.0, 2.0), 0.5) == 1.0
    assert quantile((1, 0, 3), (1.0, 2.0), 0.5) == 2.0


def test_a_rise_is_described_by_the_mean() -> None:
    assert summary().startswith("mean of feature 'normal_0' went from 0.0")


def test_where_the_mean_went_the_other_way_the_median_describes_it() -> None:
    sentence = summary(mean=-7.0)

    assert sentence.startswith("mean of feature 'normal_0' rose: median from ")
    assert "; mean from 0.0" in sentence
    assert " to -7 since bench.events/0 offset " in sentence


def summary(mean: float | None = None) -> str:
    """Return the sentence about a shift, in a window whose mean is `mean`."""
    monitor = Monitor("p", MonitorPolicy(), lambda _: reference())
    stream = Stream(60_000, 1, (shift("normal_0", 1.0),), 30_000, batch=500)
    for frame in frames(stream, known=reference()):
        for change in monitor.take(frame, frame.last_time_ms):
            if isinstance(change, IncidentOpened):
                seen = change.frame if mean is None else with_mean(change.frame, mean)
                event = opened_event("p", replace(change, frame=seen), EventContext(reference(), None), 1)
                return str(event["summary"])
    raise AssertionError("the shift was not found")


def with_mean(frame: ObservationFrame, mean: float) -> ObservationFrame:
    def changed(one: ColumnSummary) -> ColumnSummary:
        return replace(one, mean=mean) if (one.kind, one.name) == (FEATURE_NUMBER, "normal_0") else one

    return replace(frame, signals=tuple(map(changed, frame.signals)))
