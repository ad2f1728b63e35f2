"""Comparison with training data: only with enough rows on both sides, and then rarely wrong."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift_streams import Stream, frames, reference
from stream_infer.drift.distance import INSUFFICIENT_REFERENCE, is_sufficient, ks, psi
from stream_infer.drift.frames import FEATURE_NUMBER, ColumnSummary
from stream_infer.drift.monitor import Monitor, MonitorPolicy, ReferenceMissing
from stream_infer.drift.reference import ReferenceColumn

BINS = 20
CHANCE = 1e-4


def column(rows: int, seed: int = 0) -> ReferenceColumn:
    """Return the reference of `rows` standard normal rows, in bins of equal share."""
    sample = np.sort(np.random.default_rng(seed).normal(size=rows))
    edges = np.quantile(sample, np.linspace(0, 1, BINS + 1))
    counts, _ = np.histogram(sample, edges)
    shares = (0.0, *(counts / rows).tolist(), 0.0)
    return ReferenceColumn("x", FEATURE_NUMBER, rows, edges=tuple(edges.tolist()), shares=shares)


def sample(of: ReferenceColumn, rows: int, seed: int, mean: float = 0.0) -> ColumnSummary:
    values = np.random.default_rng(1_000 + seed).normal(mean, size=rows)
    inner, _ = np.histogram(values, of.edges)
    below, above = int((values < of.edges[0]).sum()), int((values > of.edges[-1]).sum())
    return ColumnSummary("x", FEATURE_NUMBER, rows, bins=(below, *inner.tolist(), above))


@pytest.mark.parametrize("compare", [psi, ks])
def test_nothing_is_compared_with_too_few_rows_on_either_side(compare: object) -> None:
    assert callable(compare)
    enough, few = column(1_000), column(999)

    assert compare(sample(enough, 500, 1), enough, chance=CHANCE) is not None
    assert compare(sample(enough, 499, 1), enough, chance=CHANCE) is None
    assert compare(sample(few, 500, 1), few, chance=CHANCE) is None
    assert is_sufficient(enough)
    assert not is_sufficient(few)
    assert not is_sufficient(None)


@pytest.mark.parametrize("compare", [psi, ks])
@pytest.mark.parametrize("rows", [1_000, 20_000])
def test_it_is_rarely_wrong_and_finds_a_shift(compare: object, rows: int) -> None:
    assert callable(compare)
    known = column(rows)
    still = [compare(sample(known, 600, seed), known, chance=CHANCE) for seed in range(300)]
    moved = [compare(sample(known, 600, seed, mean=1.0), known, chance=CHANCE) for seed in range(50)]

    assert sum(one.exceeded for one in still) == 0
    assert all(one.exceeded for one in moved)


@pytest.mark.parametrize(("rows", "times"), [(50, 1), (999, 1), (5_000, 0)])
def test_a_reference_that_is_too_small_is_reported_once(rows: int, times: int) -> None:
    monitor = Monitor("p", MonitorPolicy(), lambda _: reference(rows=rows))
    log = frames(Stream(20_000, 1, batch=500), known=reference(rows=rows))
    found = [one for frame in log for one in monitor.take(frame, frame.last_time_ms)]

    assert [type(one) for one in found] == [ReferenceMissing] * times
    assert {one.reason for one in found if isinstance(one, ReferenceMissing)} <= {INSUFFICIENT_REFERENCE}
