"""Drift of errors: detected once, with its detector, and resolved once; no alarm without a cause."""

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


def labelled(flags: Sequence[bool]) -> list[PairOutcome]:
    return [PairOutcome(not one, None, None, None, 0) for one in flags]


def sized(sizes: Sequence[float]) -> list[PairOutcome]:
    return [PairOutcome(None, None, None, size, 0) for size in sizes]


def incidents(
    outcomes: Sequence[PairOutcome], policy: ErrorPolicy | None = None
) -> list[ErrorDrift | ErrorRecovered]:
    """Return the incidents, with a restart from the document after every tenth window."""
    return list(replay(outcomes, policy or error_detectors()))


def replay(outcomes: Sequence[PairOutcome], policy: ErrorPolicy) -> Iterator[ErrorDrift | ErrorRecovered]:
    errors = ErrorMonitor(policy, MODEL)
    for number, (begin, end) in enumerate(pairwise(range(0, len(outcomes) + 1, WINDOW))):
        yield from errors.take(outcomes[begin:end], window(number))
        if number % 10 == 0:
            errors = ErrorMonitor.from_document(json.loads(json.dumps(errors.to_document())), policy, MODEL)


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
        found, back = incidents(flips(seed, (4_000, before), (3_000, after), (6_000, before)))

        assert isinstance(found, ErrorDrift)
        assert 4_000 <= found.window.last_offset < 4_000 + within + WINDOW
        assert found.error > found.baseline == pytest.approx(before, abs=0.03)
        assert isinstance(back, ErrorRecovered)
        assert (back.incident, back.settled) == (found.incident, False)
        assert back.window.last_offset > 7_000


def test_errors_that_stay_at_another_level_settle_there_and_the_next_change_is_found() -> None:
    found, back, more, _ = incidents(flips(3, (4_000, 0.05), (10_000, 0.25), (8_000, 0.5)))

    assert isinstance(back, ErrorRecovered)
    assert (back.incident, back.settled) == (found.incident, True)
    assert isinstance(more, ErrorDrift)
    assert more.baseline == pytest.approx(0.25, abs=0.05)
    assert more.incident != found.incident


def test_the_errors_of_a_regressor_are_monitored_by_their_size() -> None:
    draw = np.random.default_rng(5)
    sizes = [*draw.exponential(1.0, 8_000), *draw.exponential(1.5, 4_000)]

    [found] = incidents(sized([float(one) for one in sizes]))

    assert isinstance(found, ErrorDrift)
    assert 8_000 <= found.window.last_offset < 9_000


def test_a_huge_error_does_not_mute_the_detectors() -> None:
    draw = np.random.default_rng(6)
    sizes = [*draw.exponential(1.0, 4_000), 1.7e308, *draw.exponential(1.0, 199), *([9.0] * 2_000)]

    found = incidents(sized([float(one) for one in sizes]))

    assert [one.window.first_offset for one in found if isinstance(one, ErrorDrift)] == [4_000]


def test_the_detector_of_single_labels_sees_a_change_by_itself() -> None:
    [spec] = error_detectors().label_detectors
    policy = ErrorPolicy((), [spec])

    assert incidents(flips(1, (20_000, 0.1)), policy) == []
    found = incidents(flips(1, (4_000, 0.1), (2_000, 0.4)), policy)[0]
    assert isinstance(found, ErrorDrift)
    assert found.detection.spec == spec
    assert 4_000 <= found.window.last_offset < 5_000
