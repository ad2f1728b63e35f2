"""Real data that drifts by nature: few alarms in a year, and each of them has its cause."""

from __future__ import annotations

import pytest

from benchmarks.drift_flights import CAUSES, raised


@pytest.mark.slow
def test_a_year_of_flights_raises_few_incidents_and_its_storms_are_told() -> None:
    told = raised()

    assert len([one for one in told if one.state == "open"]) <= len(CAUSES)
    # The storm of November falls into an incident that was open since spring: delays of a whole summer.
    assert {one.cause for one in told} >= set(list(CAUSES.values())[:4]) | {CAUSES["12-05", "12-10"]}
