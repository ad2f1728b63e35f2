"""Events that depend on each other, heavy tails, rare values raise no alarm, nor does a rate that falls."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.drift_awkward import AWKWARD, DEPENDENT, EVERY
from benchmarks.drift_columns import Recording, opened
from stream_infer.drift.series_scale import SeriesScale
from tests.support.alarm_streams import Change, Line, put, tell

EVENTS, SEEDS = 200_000, range(2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", [*(n for n in DEPENDENT if "300" not in n), *AWKWARD])
@pytest.mark.parametrize("rows", [0, 5_000])
def test_a_stream_that_is_awkward_and_does_not_change_raises_nothing(name: str, rows: int, seed: int) -> None:
    """Training rows are drawn from a long time: of one hour of dependent events they would be another's."""
    rng = np.random.default_rng([seed, 41])
    training = {name: rng.choice(EVERY[name](rng, 100 * rows), rows)} if rows else None

    assert [one.about for one in opened(Recording({name: EVERY[name](rng, EVENTS)}, training))] == []


@pytest.mark.parametrize("spread", [1.0, 5.0])
def test_values_in_units_of_their_scale_differ_by_one(spread: float) -> None:
    values = np.random.default_rng(3).normal(7.0, spread, 400)
    scale = SeriesScale()

    seen = np.array([one for value in values for one in scale.take(value)])

    assert len(seen) == len(values)
    assert seen[50:].std() == pytest.approx(1.0, abs=0.1)
    assert scale.value == pytest.approx(spread, rel=0.15)


def test_a_change_does_not_hide_itself_in_the_scale() -> None:
    scale = SeriesScale()
    for value in np.random.default_rng(4).normal(0, 1, 20):
        scale.take(value)

    assert [round(one) for _ in range(3) for one in scale.take(14.0)] == pytest.approx([14] * 3, abs=3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rows", [0, 5_000])
def test_a_null_rate_that_falls_opens_no_incident(rows: int, seed: int) -> None:
    # A tenth of the values is null from the first event on, and none from event 30,000 on.
    line = Line(60_000, seed, [Change(put("income", math.nan), 0, 30_000, share=0.1)], rows=rows)

    told = [one for one in tell(line) if one.at > 30_000]

    assert [one.summary for one in told if one.state in {"open", "updated"}] == []
