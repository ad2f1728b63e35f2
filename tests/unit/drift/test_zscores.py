"""Z-scores are about standard normal while nothing changes, and X2 is scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from stream_infer.drift.zscores import rate_zscore, shares_zscore

COUNTS = st.lists(st.integers(5, 400), min_size=2, max_size=30)


@given(COUNTS, st.data())
@settings(max_examples=200, deadline=None)
def test_shares_are_compared_by_the_x2_of_scipy(counts: list[int], data: st.DataObject) -> None:
    # No category is rare: 100 rows or more of each, and shares within a factor of four.
    weights = data.draw(st.lists(st.integers(1, 4), min_size=len(counts), max_size=len(counts)))
    rows = [count * 20 for count in counts]
    shares = [weight / sum(weights) for weight in weights]
    expected = [share * sum(rows) for share in shares]

    normal = _wilson_hilferty(chisquare(rows, expected).statistic, len(rows) - 1)

    assert shares_zscore(rows, shares) == pytest.approx(normal, rel=1e-9, abs=1e-9)


def test_rare_categories_are_compared_as_one() -> None:
    expected = _wilson_hilferty(chisquare([60, 37, 3], [60, 36, 4]).statistic, 2)

    assert shares_zscore([60, 37, 2, 1], [0.6, 0.36, 0.02, 0.02]) == pytest.approx(expected)
    assert shares_zscore([60, 2, 37, 1], [0.6, 0.01, 0.36, 0.03]) == pytest.approx(expected)


def test_a_category_that_expects_less_than_one_row_is_left_out() -> None:
    expected = _wilson_hilferty((38 - 39.5) ** 2 / 39.5, 1)

    assert shares_zscore([60, 38, 2], [0.6, 0.395, 0.005]) == pytest.approx(expected)


def test_one_category_has_nothing_to_be_compared_with() -> None:
    assert shares_zscore([100], [1.0]) is None
    assert shares_zscore([100, 0], [1.0, 0.0]) is None
    assert shares_zscore([0, 0], [0.0, 0.0]) is None


def test_shares_that_stay_give_standard_normal_values() -> None:
    shares = [0.4, 0.25, 0.15, 0.1, 0.07, 0.03]
    draws = np.random.default_rng(1).multinomial(200, shares, size=4_000)
    values = np.array([shares_zscore(counts.tolist(), shares) for counts in draws])

    assert values.mean() == pytest.approx(0.0, abs=0.05)
    assert values.std() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3, 0.95])
def test_a_rate_is_standardised_whatever_it_is(rate: float) -> None:
    total = 1_600
    chances = binom.pmf(range(total + 1), total, rate)
    values = np.array([rate_zscore(count, total, rate) for count in range(total + 1)])
    mean = float(np.sum(chances * values))

    assert mean == pytest.approx(0.0, abs=0.35 if rate < 0.01 else 0.1)
    assert math.sqrt(float(np.sum(chances * values**2)) - mean**2) == pytest.approx(1.0, abs=0.1)


def test_no_rows_are_no_deviation() -> None:
    assert rate_zscore(0, 0, 0.5) == 0.0


def _wilson_hilferty(statistic: float, freedom: int) -> float:
    variance = 2 / (9 * freedom)
    return float(((statistic / freedom) ** (1 / 3) - (1 - variance)) / math.sqrt(variance))
