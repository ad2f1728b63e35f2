"""A class that the model misses is told after few labels of it, however rare, and ends when it is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import fisher_exact

from stream_infer.drift.class_errors import ClassErrors, ErrorsByClass, exact_chance
from stream_infer.drift.error_drift import ErrorDrift, ErrorRecovered, LabelsOfOneClass
from stream_infer.drift.model_metrics import PairOutcome
from stream_infer.steps.monitoring.label_join import error_detectors
from tests.unit.drift.test_error_drift import incidents, replay

SEEDS = range(5)
MOST_MISSED = 30
DAY_MS = 86_400_000
FALSE_POSITIVES = 0.0005
NAMES = ("good", "fraud")
BLOCKS = replace(error_detectors(), label_detectors=())
"""Without the detector of single labels, which takes 0.1 ms for each."""

Part = tuple[int, float]
"""A number of labels, and the recall of the rare class in them."""


def rare(seed: int, share: float, *parts: Part) -> list[PairOutcome]:
    """Return labels of which `share` are of the class "fraud"."""
    rng = np.random.default_rng(seed)
    labels = []
    for count, recall in parts:
        true, found = rng.random(count) < share, rng.random(count)
        predicted = np.where(true, found < recall, found < FALSE_POSITIVES)
        labels += [outcome(NAMES[int(p)], NAMES[int(t)]) for p, t in zip(predicted, true, strict=True)]
    return labels


def outcome(predicted: str, true: str) -> PairOutcome:
    delay_ms = 5 * DAY_MS if true == "fraud" else DAY_MS
    return PairOutcome(predicted == true, None, None, None, delay_ms, (predicted, true))


def frauds_until(labels: Sequence[PairOutcome], begin: int, end: int) -> int:
    return sum(one.classes is not None and one.classes[1] == "fraud" for one in labels[begin:end])


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("share", "before", "after"), [(0.001, 100_000, 50_000), (0.01, 20_000, 20_000)])
def test_a_rare_class_that_is_missed_is_told_within_30_labels_of_it_and_is_not_back(
    share: float, before: int, after: int, seed: int
) -> None:
    labels = rare(seed, share, (before, 0.8), (after, 0.0))

    told = incidents(labels, BLOCKS)

    [first] = [one for one in told if isinstance(one, ErrorDrift) and one.class_name == "fraud"]
    assert frauds_until(labels, before, first.window.last_offset + 1 - 200) <= MOST_MISSED
    assert first.error > first.baseline == pytest.approx(0.2, abs=0.15)
    assert {one.incident for one in told} == {first.incident}
    assert not [one for one in told if isinstance(one, ErrorRecovered) and not one.settled]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_recall_that_stays_as_it_is_raises_no_alarm_in_100_000_labels(seed: int) -> None:
    assert incidents(rare(seed, 0.01, (100_000, 0.8)), BLOCKS) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rare_class_that_is_found_again_ends_the_incident(seed: int) -> None:
    told = incidents(rare(seed, 0.01, (20_000, 0.8), (10_000, 0.0), (30_000, 0.8)), BLOCKS)

    ends = [one for one in told if isinstance(one, ErrorRecovered) and not one.settled]
    assert [one.incident for one in ends] == [told[0].incident]
    assert ends[0].window.first_offset > 30_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0.02, 0.1])
def test_a_class_that_is_labelled_later_than_the_other_is_no_incident(share: float, seed: int) -> None:
    """Of the first 5,000 labels none is of the rare class, of which the model misses every second."""
    labels = [*rare(seed, 0.0, (5_000, 0.0)), *rare(seed, share, (20_000, 0.5))]

    assert incidents(labels, BLOCKS) == []
    assert incidents(labels[2_000:9_000]) == []


@pytest.mark.parametrize(("now", "before"), [((3, 10), (4, 50)), ((10, 10), (10, 50)), ((0, 5), (1, 9))])
def test_the_chance_is_that_of_fishers_exact_test(now: tuple[int, int], before: tuple[int, int]) -> None:
    table = [[now[0], now[1] - now[0]], [before[0], before[1] - before[0]]]

    assert exact_chance(*now, *before) == pytest.approx(fisher_exact(table, alternative="greater").pvalue)


def test_errors_of_a_class_are_expected_as_at_first_or_as_where_they_settled() -> None:
    errors = ErrorsByClass()
    for number in range(200):
        errors.take("a", missed=number % 4 == 0)

    assert errors.expected("a", missed=True) == (0.25, 0.25)
    assert errors.expected("of another", missed=True) == (1.0, 1.0)
    errors.settle()
    for number in range(20):
        errors.take("a", missed=number % 2 == 0)
    assert errors.expected("a", missed=False) == (0.5, 0.25)
    assert ErrorsByClass.from_document(errors.to_document()).expected("a", missed=False) == (0.5, 0.25)
    errors.recover()
    assert errors.expected("a", missed=False) == (0.25, 0.25)


def test_a_class_with_few_labels_before_is_not_judged() -> None:
    few = ClassErrors()
    told = [few.take("a", missed=number >= 15) for number in range(60)]

    assert told[:30] == [None] * 30


@pytest.mark.parametrize("seed", SEEDS)
def test_labels_of_one_class_only_are_told_until_another_class_comes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positives = [outcome(NAMES[int(rng.random() < 0.71)], "fraud") for _ in range(600)]
    others = [outcome("good", "good")] * 200

    told = [one for one in replay([*positives, *others], BLOCKS) if isinstance(one, LabelsOfOneClass)]

    assert [(one.name, one.ended) for one in told] == [("fraud", False), ("fraud", True)]
    assert told[0].window.last_offset < 400
    assert told[0].others / told[0].labels == pytest.approx(0.29, abs=0.1)


def test_the_first_labels_of_a_class_that_is_labelled_sooner_are_not_told_as_one_class_only() -> None:
    assert list(replay(rare(1, 0.0, (3_000, 0.0)), BLOCKS)) == []
