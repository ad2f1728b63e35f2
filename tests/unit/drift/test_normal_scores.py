"""Normal scores are conditional means of a standard normal variable, and their z-scores standard normal."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import norm

from stream_infer.drift.normal_scores import normal_scores

SHARES = (0.0, 0.1, 0.25, 0.3, 0.2, 0.1, 0.05, 0.0)
ROWS = 5_000


def test_a_bins_scores_are_the_means_of_z_and_of_its_square_within_the_bin() -> None:
    weights = (np.array(SHARES) * ROWS + 0.5) / (ROWS + 0.5 * len(SHARES))
    cuts = norm.ppf(np.concatenate([[0.0], np.cumsum(weights)[:-1], [1.0]]))
    bounds = list(pairwise(cuts))
    means = [norm.expect(lambda z: z, lb=low, ub=high, conditional=True) for low, high in bounds]
    squares = [norm.expect(lambda z: z * z, lb=low, ub=high, conditional=True) for low, high in bounds]

    scores = normal_scores(SHARES, ROWS)

    assert scores.location.scores == pytest.approx(means, abs=1e-6)
    assert scores.spread.scores == pytest.approx(squares, abs=1e-6)
    assert scores.location.mean == pytest.approx(0.0, abs=1e-9)
    assert scores.spread.mean == pytest.approx(1.0, abs=1e-9)


def test_samples_of_the_reference_give_standard_normal_values() -> None:
    scores = normal_scores(SHARES, ROWS)
    draws = np.random.default_rng(3).multinomial(200, SHARES, size=4_000)

    for of in (scores.location, scores.spread):
        values = np.array([of.zscore(bins.tolist()) for bins in draws])
        assert values.mean() == pytest.approx(0.0, abs=0.06)
        assert values.std() == pytest.approx(1.0, abs=0.06)


def test_a_sample_further_up_or_wider_has_a_higher_value() -> None:
    scores = normal_scores(SHARES, ROWS)
    up, wide = (0, 0, 0, 50, 50, 50, 50, 0), (40, 40, 10, 0, 10, 40, 30, 30)

    assert scores.location.zscore(up) > 6
    assert scores.spread.zscore(wide) > 6
    assert abs(scores.location.zscore(wide)) < 2.5
