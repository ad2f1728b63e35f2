"""Drift of errors: detected once, with its detector, and resolved once; no alarm without a cause."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, norm

from stream_infer.drift.error_drift import (
    ErrorChange,
    ErrorDrift,
    ErrorMonitor,
    ErrorPolicy,
    ErrorRecovered,
    LabelsOfOneClass,
)
from stream_infer.drift.error_samples import ErrorSample, block_zscore, sample_of
from stream_infer.drift.error_state import ErrorState
from stream_infer.drift.estimate import ModelId
from stream_infer.drift.labels import LabelWindow
from stream_infer.drift.model_metrics import PairOutcome
from stream_infer.steps.monitoring.label_join import error_detectors

MODEL = ModelId("1.0.0", "d1")
WINDOW = 200


def window(number: int) -> LabelWindow:
    return LabelWindow("labels/0", number * WINDOW, number * WINDOW + WINDOW - 1, 0, Counter(), (), 1.0)


def labelled(flags: Sequence[bool]) -> list[PairOutcome]:
    return [PairOutcome(not one, None, None, None, 0, ("no" if one else "yes", "yes")) for one in flags]


def sized(sizes: Sequence[float]) -> list[PairOutcome]:
    return [PairOutcome(None, None, None, size, 0) for size in sizes]


def incidents(
    outcomes: Sequence[PairOutcome], policy: ErrorPolicy | None = None, promise: ErrorSample | None = None
) -> list[ErrorChange]:
    """Return the incidents, with a restart from the document after every tenth window."""
    told = replay(outcomes, policy or error_detectors(), promise)
    return [one for one in told if not isinstance(one, LabelsOfOneClass)]  # most labels here are of one class


def replay(
    outcomes: Sequence[PairOutcome], policy: ErrorPolicy, promise: ErrorSample | None = None
) -> Iterator[ErrorChange]:
    errors = ErrorMonitor(policy, MODEL, None, promise)
    for number, (begin, end) in enumerate(pairwise(range(0, len(outcomes) + 1, WINDOW))):
        yield from errors.take(outcomes[begin:end], window(number))
        if number % 10 == 0:
            state = ErrorState.from_document(json.loads(json.dumps(errors.to_document())))
            errors = ErrorMonitor(policy, MODEL, state, promise)


def flips(seed: int, *parts: tuple[int, float]) -> list[PairOutcome]:
    draw = np.random.default_rng(seed)
    return labelled([bool(one) for count, rate in parts for one in draw.random(count) < rate])


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.3])
def test_errors_that_stay_as_they_are_raise_no_alarm(rate: float) -> None:
    assert [incidents(flips(seed, (20_000, rate))) for seed in range(2)] == [[], []]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "within"), [(0.02, 0.1, 600), (0.1, 0.2, 1_400), (0.1, 0.3, 400), (0.3, 0.45, 800)]
)
def test_errors_that_rise_are_found_once_and_end_when_they_fall(
    before: float, after: float, within: int
) -> None:
    for seed in range(3):
        found, *more, back = incidents(flips(seed, (4_000, before), (3_000, after), (6_000, before)))

        assert [one.class_name for one in more if isinstance(one, ErrorDrift)] in ([], ["yes"])
        assert isinstance(found, ErrorDrift)
        assert 4_000 <= found.window.last_offset < 4_000 + within + WINDOW
        assert found.error > found.baseline == pytest.approx(before, abs=0.03)
        assert isinstance(back, ErrorRecovered)
        assert (back.incident, back.settled) == (found.incident, False)
        assert back.window.last_offset > 7_000


def test_errors_that_stay_at_another_level_settle_there_and_what_gets_worse_is_told() -> None:
    told = incidents(flips(3, (4_000, 0.05), (10_000, 0.25), (8_000, 0.5), (6_000, 0.05)))

    ended = [one for one in told if isinstance(one, ErrorRecovered)]
    assert [one.settled for one in ended] == [True, True, False]
    [worse] = [
        one for one in told[told.index(ended[0]) : told.index(ended[1])] if isinstance(one, ErrorDrift)
    ]
    assert worse.baseline == pytest.approx(0.25, abs=0.05)
    assert {one.incident for one in told} == {told[0].incident}


def test_the_errors_of_a_regressor_are_monitored_by_their_size() -> None:
    draw = np.random.default_rng(5)
    sizes = [*draw.exponential(1.0, 8_000), *draw.exponential(1.5, 4_000)]

    [found] = incidents(sized([float(one) for one in sizes]))

    assert isinstance(found, ErrorDrift)
    assert 8_000 <= found.window.last_offset < 9_000


def test_a_huge_error_raises_no_alarm_and_does_not_mute_the_detectors() -> None:
    draw = np.random.default_rng(6)
    sizes = [*draw.exponential(1.0, 4_000), 1.7e308, *draw.exponential(1.0, 199), *([9.0] * 2_000)]

    found = incidents(sized([float(one) for one in sizes]))

    assert [one.window.first_offset for one in found if isinstance(one, ErrorDrift)] == [4_200]


def test_the_detector_of_single_labels_sees_a_change_by_itself() -> None:
    [spec] = error_detectors().label_detectors
    policy = ErrorPolicy((), [spec])

    assert incidents(flips(1, (20_000, 0.1)), policy) == []
    found = incidents(flips(1, (4_000, 0.3), (2_000, 0.45)), policy)[0]
    assert isinstance(found, ErrorDrift)
    assert (found.detector, found.parameters) == (spec.kind, spec.parameters)
    assert 4_000 <= found.window.last_offset < 5_000


SIZES: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "normal": lambda rng, count: np.abs(rng.normal(0, 1, count)),
    "log-normal": lambda rng, count: rng.lognormal(0, 2, count),
    "Pareto": lambda rng, count: rng.pareto(1, count),
    "most are zero": lambda rng, count: np.where(rng.random(count) < 0.9, 0.0, rng.pareto(1, count)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_errors_of_any_distribution_raise_no_alarm_in_60_000_labels_and_three_times_as_large_are_told(
    name: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sizes = [*SIZES[name](rng, 60_000), *(3 * SIZES[name](rng, 4_000))]

    opened = [one for one in incidents(sized(sizes)) if isinstance(one, ErrorDrift)]

    assert [one for one in opened if one.window.first_offset < 60_000] == []
    assert bool(opened) == (name != "most are zero")


def test_ranks_are_compared_as_scipy_does() -> None:
    rng = np.random.default_rng(1)
    before, now = rng.integers(0, 20, 500).astype(float), rng.integers(3, 20, 100).astype(float)
    expected = mannwhitneyu(now, before, use_continuity=False, method="asymptotic", alternative="greater")

    value = block_zscore(
        sample_of(list(now), sizes=True), sample_of(list(before), sizes=True), 0.0, rate=False
    )

    assert norm.sf(value) == pytest.approx(expected.pvalue)


PROMISED = ErrorSample(100.0, 100.0, 1_000)


@pytest.mark.parametrize("seed", range(5))
def test_errors_above_those_in_training_are_told_within_400_labels_from_the_first(seed: int) -> None:
    first, *others = incidents(flips(seed, (3_000, 0.45), (6_000, 0.1)), promise=PROMISED)

    assert isinstance(first, ErrorDrift)
    assert (first.detector, first.opens, first.window.last_offset < 400) == ("Promise", True, True)
    assert (first.baseline, first.error) == (0.1, pytest.approx(0.45, abs=0.1))
    ends = [one for one in others if isinstance(one, ErrorRecovered) and not one.settled]
    assert [one.window.first_offset > 3_000 for one in ends] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_model_about_as_good_as_in_training_breaks_no_promise(seed: int) -> None:
    assert incidents(flips(seed, (4_000, 0.13)), promise=PROMISED) == []


@pytest.mark.parametrize("seed", range(5))
def test_errors_of_a_regressor_that_are_larger_than_in_training_are_told_within_400_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    promise = sample_of(
        list(np.quantile(rng.lognormal(0, 1, 5_000), np.linspace(0.005, 0.995, 100))), sizes=True
    )

    first = incidents(sized(list(rng.lognormal(1, 1, 2_000))), promise=promise)[0]

    assert isinstance(first, ErrorDrift)
    assert (first.detector, first.window.last_offset < 400) == ("Promise", True)
    assert incidents(sized(list(rng.lognormal(0.1, 1, 2_000))), promise=promise) == []


@pytest.mark.parametrize("promised", [False, True])
def test_errors_that_are_accepted_are_normal_and_more_of_them_are_told(*, promised: bool) -> None:
    outcomes = flips(3, (6_000, 0.1), (4_000, 0.4), (20_000, 0.4), (6_000, 0.75))
    promise = sample_of([0.0] * 900 + [1.0] * 100, sizes=False) if promised else None
    errors, told = ErrorMonitor(error_detectors(), MODEL, None, promise), list[tuple[int, ErrorChange]]()
    for number, (begin, end) in enumerate(pairwise(range(0, len(outcomes) + 1, WINDOW))):
        told += [(begin, one) for one in errors.take(outcomes[begin:end], window(number))]
        if begin == 10_000 - WINDOW:
            [opened] = [one for _, one in told if isinstance(one, ErrorDrift) and one.opens]
            assert not errors.accept("another")
            assert errors.accept(opened.incident)
            document = json.loads(json.dumps(errors.to_document()))
            errors = ErrorMonitor(error_detectors(), MODEL, ErrorState.from_document(document), promise)

    after = [(at, one) for at, one in told if at >= 10_000 and isinstance(one, ErrorDrift | ErrorRecovered)]
    assert after
    first, drift = after[0]
    assert 30_000 <= first < 33_000
    assert isinstance(drift, ErrorDrift)
    assert drift.opens
    assert drift.baseline == pytest.approx(0.4, abs=0.06)
