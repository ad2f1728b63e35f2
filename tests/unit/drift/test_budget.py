"""Thresholds follow from what the user states, and keep it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.drift_streams import Stream, run_monitor, shift
from stream_infer.drift.budget import AlarmBudget, change_detectors
from stream_infer.drift.detector_bank import DetectionPolicy
from stream_infer.drift.detectors import DetectorKind
from stream_infer.drift.monitor import MonitorPolicy
from stream_infer.drift.series import Series

VALUES = 150_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds",
    [(DetectorKind.PAGE_HINKLEY,), (DetectorKind.ADWIN,), (DetectorKind.PAGE_HINKLEY, DetectorKind.ADWIN)],
)
def test_detectors_raise_no_more_false_alarms_than_the_budget_allows(kinds: tuple[DetectorKind, ...]) -> None:
    run_length = 10_000.0
    series = Series(change_detectors(run_length, kinds))
    wrong = sum(1 for value in np.random.default_rng(11).normal(size=VALUES).tolist() if series.update(value))

    assert wrong <= 1.5 * VALUES / run_length


@pytest.mark.parametrize("kind", [DetectorKind.PAGE_HINKLEY, DetectorKind.ADWIN, DetectorKind.KSWIN])
def test_fewer_false_alarms_cost_a_threshold_that_is_harder_to_reach(kind: DetectorKind) -> None:
    specs = [change_detectors(length, (kind,))[0] for length in (1e4, 1e6, 1e8)]
    thresholds = [spec.threshold or 0.0 for spec in specs]

    assert all(a != b for a, b in itertools.pairwise(thresholds))
    # PageHinkley has to reach its threshold; the others are levels of significance.
    assert thresholds == sorted(thresholds, reverse=kind is not DetectorKind.PAGE_HINKLEY)


def test_the_budget_is_for_everything_together() -> None:
    month = AlarmBudget(alarms=1, days=30, events_per_s=100)

    assert month.run_length(signals=200, window_events=1600) == 2 * month.run_length(
        signals=100, window_events=1600
    )
    twice = AlarmBudget(alarms=2, days=30, events_per_s=100).run_length(signals=200, window_events=1600)
    assert twice == month.run_length(signals=100, window_events=1600)


def test_a_user_who_allows_more_false_alarms_learns_of_smaller_changes() -> None:
    stream = Stream(60_000, 3, (shift("normal_0", 0.3),), 30_000, batch=500)
    strict = run_monitor(stream, MonitorPolicy(detection=DetectionPolicy(AlarmBudget(alarms=0.001))))
    loose = run_monitor(stream, MonitorPolicy(detection=DetectionPolicy(AlarmBudget(alarms=1_000))))

    assert loose.drifts[0][0] < (strict.drifts[0][0] if strict.drifts else 60_000)
