"""Real data that drifts by nature: few alarms in a year, and each of them has its cause."""

from __future__ import annotations

import pytest

from benchmarks.drift_flights import CAUSES, raised


@pytest.mark.slow
def test_a_year_of_flights_raises_few_incidents_and_each_has_its_cause() -> None:
    incidents = raised()

    assert [(one.feature, one.aspect) for one in incidents if one.cause is None] == []
    assert {one.cause for one in incidents} == set(CAUSES.values())
    assert len(incidents) == len(CAUSES)
