"""A package without reference: texts, labels and slow streams are held against the first events."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from benchmarks.drift_columns import LABELS, Recording, opened
from stream_infer.drift.zscores import two_samples_zscore
from stream_infer.steps.observing.texts import HASH_BINS, hash_bins
from tests.support.alarm_streams import Change, Line, put, tell

CITIES = np.array(["berlin", "paris", "rome", "oslo", "lyon"], dtype=object)
SHARES = [0.4, 0.3, 0.2, 0.07, 0.03]
START, SOON, STILL = 20_000, 5_000, 200_000
SEEDS = range(5)


def labels(rng: np.random.Generator, count: int, share: float) -> np.ndarray:
    return np.where(rng.random(count) < share, "yes", "no").astype(object)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cities", [["zagreb"], ["rome", "lyon", "oslo"]], ids=["a new one", "known ones"])
def test_a_text_that_is_replaced_is_told_within_5_000_events(cities: list[str], seed: int) -> None:
    rng = np.random.default_rng([seed, 5])
    city = CITIES[rng.choice(5, START + SOON, p=SHARES)]
    city[START:] = np.array(cities, dtype=object)[rng.integers(0, len(cities), SOON)]

    [told] = opened(Recording({"city": city}))

    assert told.about == "city:categories"
    assert START < told.at <= START + SOON


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_that_move_are_told_within_5_000_events(seed: int) -> None:
    rng = np.random.default_rng([seed, 6])
    said = np.concatenate([labels(rng, START, 0.1), labels(rng, SOON, 0.4)])

    [told] = opened(Recording({"x": rng.normal(size=START + SOON), LABELS: said}))

    assert told.about == "label:categories"
    assert START < told.at <= START + SOON


@pytest.mark.parametrize("seed", SEEDS)
def test_texts_and_labels_that_do_not_change_raise_nothing(seed: int) -> None:
    rng = np.random.default_rng([seed, 7])
    city = CITIES[rng.choice(5, STILL, p=SHARES)]

    assert opened(Recording({"city": city, LABELS: labels(rng, STILL, 0.02)})) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["height", "colour"])
def test_of_ten_events_a_day_a_feature_that_goes_missing_is_told_on_the_third_day(
    name: str, seed: int
) -> None:
    a_day, start = 10, 100
    change = Change(put(name, math.nan), start)
    line = Line(start + 5 * a_day, seed, [change], rows=0, batch=1, every_ms=86_400_000 // a_day)

    opening = [one for one in tell(line) if one.state == "open"]

    assert [one.about for one in opening] == [(name, "null_rate")]
    assert start < opening[0].at <= start + 3 * a_day


@given(st.lists(st.text(max_size=20) | st.none(), max_size=60), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_the_bin_of_a_text_does_not_depend_on_its_batch(texts: list[str | None], cut: int) -> None:
    column = pa.array(texts, pa.string())

    whole = hash_bins(column)

    assert whole.tolist() == [*hash_bins(column.slice(0, cut)), *hash_bins(column.slice(cut))]
    assert len(whole) == len(texts)
    assert all(0 <= one < HASH_BINS for one in whole)


def test_texts_spread_over_the_bins_evenly() -> None:
    counts = np.bincount(hash_bins(pa.array([f"id-{n}" for n in range(32_000)])), minlength=HASH_BINS)

    assert counts.min() > 850
    assert counts.max() < 1_150


@pytest.mark.parametrize("seed", SEEDS)
def test_two_samples_are_compared_by_the_x2_of_their_table(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, now = rng.multinomial(500_000, SHARES), rng.multinomial(200, SHARES)
    statistic = chi2_contingency([before, now]).statistic
    variance = 2 / (9 * 4)

    found = two_samples_zscore(now.tolist(), before.tolist())

    # Of a large sample before, shares are known: X2 of the table is that of the new sample alone.
    normal = ((statistic / 4) ** (1 / 3) - (1 - variance)) / math.sqrt(variance)
    assert found == pytest.approx(normal, abs=0.05)
