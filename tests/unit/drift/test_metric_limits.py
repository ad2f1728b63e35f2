"""Metrics against limits: told once, by more than chance, and over when they are within again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream_infer.drift.estimate import ModelId
from stream_infer.drift.metric_limits import ESTIMATE, LimitCrossed, LimitedMetrics, MetricPlace

MODEL = ModelId("1.0.0", "sha256:a")
WINDOW = 200


def told(
    metric: str, values: list[float], limits: dict[str, float], count: int = WINDOW
) -> list[tuple[int, LimitCrossed]]:
    """Return what is told of windows with these values; the state is stored and restored after each."""
    limited, found = LimitedMetrics(limits, MODEL), []
    for number, value in enumerate(values):
        window = MetricPlace("labels/0", number * WINDOW, number * WINDOW + WINDOW - 1, number)
        found += [(number, one) for one in limited.take(metric, value, count, window)]
        document = json.loads(json.dumps(limited.to_document()))
        limited = LimitedMetrics(limits, MODEL, document)
    return found


def test_an_accuracy_under_its_limit_is_told_with_the_first_400_labels_and_is_over_within_it() -> None:
    opened, ended = told("accuracy", [0.55] * 5 + [0.95] * 5, {"accuracy": 0.9})

    assert (opened[0], opened[1].ended, opened[1].value, opened[1].limit) == (0, False, 0.55, 0.9)
    assert (ended[0], ended[1].ended, ended[1].incident) == (5, True, opened[1].incident)


@pytest.mark.parametrize("seed", range(5))
def test_a_metric_that_is_exactly_at_its_limit_is_hardly_ever_told(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.binomial(WINDOW, 0.9, 150) / WINDOW).tolist()

    assert len([one for _, one in told("accuracy", values, {"accuracy": 0.9}) if not one.ended]) <= 1


def test_a_recall_of_few_labels_in_each_window_is_told_by_all_of_them() -> None:
    [(number, one)] = told("recall", [0.0] * 10, {"recall": 0.8}, count=5)

    assert (number, one.count) == (5, 30)


@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_an_error_over_its_limit_is_told_and_one_under_it_is_not(scale: float) -> None:
    rng = np.random.default_rng(1)
    errors = (rng.gamma(50, 0.2, 40) * scale).tolist()  # 10 on average

    assert [number for number, _ in told("mae", errors, {"mae": 8.0 * scale})] == [4]
    assert told("mae", errors, {"mae": 12.0 * scale}) == []


def test_a_metric_without_a_limit_is_not_held_against_one() -> None:
    assert told("accuracy", [0.1] * 5, {"recall": 0.8}) == []
    assert told("mae", [float("nan")] * 5, {"mae": 1.0}) == []


def test_an_estimate_far_under_that_of_the_first_windows_is_told_and_one_a_little_under_is_not() -> None:
    [(number, one)] = told(ESTIMATE, [0.9] * 6 + [0.74] * 3, {}, count=2_000)

    assert (number, one.metric) == (6, ESTIMATE)
    assert (one.first, one.limit) == (pytest.approx(0.9), pytest.approx(0.8))
    assert told(ESTIMATE, [0.9] * 6 + [0.82] * 30, {}, count=2_000) == []


def test_an_estimate_is_held_against_the_limit_of_the_accuracy_where_there_is_one() -> None:
    [(number, one)] = told(ESTIMATE, [0.8] * 3, {"accuracy": 0.9}, count=2_000)

    assert (number, one.first, one.limit) == (0, None, 0.9)


def test_an_estimate_that_is_accepted_is_the_first_one_from_then_on() -> None:
    limited = LimitedMetrics({}, MODEL)
    window = MetricPlace("predictions/0", 0, 1, 0)
    found = [one for value in [0.9] * 5 + [0.7] for one in limited.take(ESTIMATE, value, 2_000, window)]

    assert not limited.accept("another")
    assert limited.accept(found[0].incident)
    assert [one for value in [0.7] * 8 for one in limited.take(ESTIMATE, value, 2_000, window)] == []
    [worse] = limited.take(ESTIMATE, 0.5, 2_000, window)
    assert worse.first == pytest.approx(0.7)
