"""Real data that drifts by nature: few alarms in a year, and each of them has its cause."""

from __future__ import annotations

import pytest

from benchmarks.drift_flights import STORMS, raised


@pytest.mark.slow
def test_a_year_of_flights_tells_its_storms_and_every_incident_has_its_cause() -> None:
    told = raised()

    assert [one.summary for one in told if one.cause is None] == []
    assert len([one for one in told if one.state == "open"]) <= 8
    # The storm before Thanksgiving made flights 15 minutes late: ten other days of that autumn 9 to 33.
    assert {one.cause for one in told} >= {cause for day, cause in STORMS.items() if day[0] != "11-26"}
