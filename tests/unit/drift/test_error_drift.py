"""Errors that drift: found once, named with a detector, and over when they are; no alarm without a cause."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from stream_infer.drift.error_drift import ErrorDrift, ErrorMonitor, ErrorPolicy, ErrorRecovered
from stream_infer.drift.estimate import ModelId
from stream_infer.drift.labels import LabelWindow
from stream_infer.drift.model_metrics import PairOutcome
from stream_infer.steps.monitoring.label_join import error_detectors

MODEL = ModelId("1.0.0", "d1")
WINDOW = 200


def window(number: int) -> LabelWindow:
    return LabelWindow("labels/0", number * WINDOW, number * WINDOW + WINDOW - 1, 0, Counter(), (), 1.0)


def wrong(flags: Sequence[bool]) -> list[PairOutcome]:
    return [PairOutcome(not one, None, None, None, 0) for one in flags]


def apart(sizes: Sequence[float]) -> list[PairOutcome]:
    return [PairOutcome(None, None, None, size, 0) for size in sizes]


def course(
    marks: Sequence[PairOutcome], policy: ErrorPolicy | None = None
) -> list[ErrorDrift | ErrorRecovered]:
    """Return what is said, going on after every tenth window from nothing but the document."""
    return list(steps(marks, policy or error_detectors()))


def steps(marks: Sequence[PairOutcome], policy: ErrorPolicy) -> Iterator[ErrorDrift | ErrorRecovered]:
    errors = ErrorMonitor(policy, MODEL)
    for number, (begin, end) in enumerate(pairwise(range(0, len(marks) + 1, WINDOW))):
        yield from errors.take(marks[begin:end], window(number))
        if number % 10 == 0:
            errors = ErrorMonitor.from_document(json.loads(json.dumps(errors.to_document())), policy, MODEL)


def flips(seed: int, *parts: tuple[int, float]) -> list[PairOutcome]:
    draw = np.random.default_rng(seed)
    return wrong([bool(one) for count, rate in parts for one in draw.random(count) < rate])


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 0.02, 0.1, 0.3])
def test_errors_that_stay_as_they_are_raise_no_alarm(rate: float) -> None:
    assert [course(flips(seed, (20_000, rate))) for seed in range(2)] == [[], []]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "within"), [(0.02, 0.1, 600), (0.1, 0.2, 1_400), (0.1, 0.3, 400), (0.3, 0.45, 800)]
)
def test_errors_that_rise_are_found_once_and_end_when_they_fall(
    before: float, after: float, within: int
) -> None:
    for seed in range(3):
        found, back = course(flips(seed, (4_000, before), (3_000, after), (6_000, before)))

        assert isinstance(found, ErrorDrift)
        assert 4_000 <= found.window.last_offset < 4_000 + within + WINDOW
        assert found.rate > found.usual == pytest.approx(before, abs=0.03)
        assert isinstance(back, ErrorRecovered)
        assert (back.incident, back.settled) == (found.incident, False)
        assert back.window.last_offset > 7_000


def test_errors_that_stay_at_another_level_settle_there_and_the_next_change_is_found() -> None:
    found, back, more, _ = course(flips(3, (4_000, 0.05), (10_000, 0.25), (8_000, 0.5)))

    assert isinstance(back, ErrorRecovered)
    assert (back.incident, back.settled) == (found.incident, True)
    assert isinstance(more, ErrorDrift)
    assert more.usual == pytest.approx(0.25, abs=0.05)
    assert more.incident != found.incident


def test_a_regressors_errors_are_watched_by_their_size() -> None:
    draw = np.random.default_rng(5)
    sizes = [*draw.exponential(1.0, 8_000), *draw.exponential(1.5, 4_000)]

    [found] = course(apart([float(one) for one in sizes]))

    assert isinstance(found, ErrorDrift)
    assert 8_000 <= found.window.last_offset < 9_000


def test_sizes_beyond_all_bounds_mute_nothing() -> None:
    draw = np.random.default_rng(6)
    sizes = [*draw.exponential(1.0, 4_000), 1.7e308, *draw.exponential(1.0, 199), *([9.0] * 2_000)]

    found = course(apart([float(one) for one in sizes]))

    assert [one.window.first_offset for one in found if isinstance(one, ErrorDrift)] == [4_000]


def test_the_detector_of_single_labels_sees_a_change_by_itself() -> None:
    [spec] = error_detectors().bit_detectors
    policy = ErrorPolicy((), [spec])

    assert course(flips(1, (20_000, 0.1)), policy) == []
    found = course(flips(1, (4_000, 0.1), (2_000, 0.4)), policy)[0]
    assert isinstance(found, ErrorDrift)
    assert found.fired.spec == spec
    assert 4_000 <= found.window.last_offset < 5_000
