"""No bad value reaches a detector, and a detector that is given its values again is the same one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream_infer.drift.budget import change_detectors
from stream_infer.drift.detectors import DetectorKind, DetectorSpec, make_detector
from stream_infer.drift.series import LARGEST, Series, to_steps

BAD = (math.nan, math.inf, -math.inf)
SPECS = change_detectors(1e5, (DetectorKind.PAGE_HINKLEY, DetectorKind.ADWIN, DetectorKind.KSWIN))


def values(seed: int = 1) -> list[float]:
    """Return standardised values that shift by six standard errors half way."""
    rng = np.random.default_rng(seed)
    return [*rng.normal(0, 1, 60).tolist(), *rng.normal(6, 1, 60).tolist()]


def detections(spec: DetectorSpec, stream: list[float]) -> list[int]:
    series = Series([spec])
    return [index for index, value in enumerate(stream) if series.update(value)]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_burst_of_bad_values_changes_nothing_that_comes_after(spec: DetectorSpec, bad: float) -> None:
    clean = values()
    at = detections(spec, clean)
    burst = [*clean[:30], *[bad] * 20, *clean[30:]]

    assert at
    assert at[0] >= 60
    assert detections(spec, burst) == [index + 20 for index in at]


@pytest.mark.parametrize("kind", [DetectorKind.PAGE_HINKLEY, DetectorKind.ADWIN])
def test_without_the_guard_one_bad_value_would_have_muted_it(kind: DetectorKind) -> None:
    # If this fails, River has learned to guard itself, and the guard is no more than a precaution.
    [spec] = change_detectors(1e5, (kind,))
    detector = make_detector(spec)
    detector.update(math.nan)

    assert not any(detector.update(value) for value in values())


@pytest.mark.parametrize("huge", [1e308, -1e308, 1e15])
def test_huge_values_are_cut(huge: float) -> None:
    assert to_steps(huge) == round(math.copysign(LARGEST, huge) * 1000)


def test_detectors_do_not_tell_far_from_further_and_the_series_does() -> None:
    far, further = ([*values()[:40], *[size] * 10] for size in (20.0, 2_000.0))

    for spec in SPECS:
        assert detections(spec, far) == detections(spec, further)
    series = Series([SPECS[0]])
    for value in further:
        series.update(value)
    assert series.values[-1] == 2_000_000


@pytest.mark.parametrize("length", [1, 3, 10])
def test_the_change_of_a_series_is_the_newest_level_not_an_old_burst(length: int) -> None:
    series = Series([SPECS[0]])
    for value in [*values()[:20], 12.0, *values(2)[:20], *[5.0 + n / 100 for n in range(length)]]:
        series.update(value)

    change = series.change()

    assert change.length == length
    assert abs(change.before) < 0.5
    assert 1.0 <= change.spread < 3.0


def test_a_series_begins_again_with_its_newest_values() -> None:
    whole, restarted = Series([SPECS[0]]), Series([SPECS[0]])
    for value in values():
        whole.update(value)
        restarted.update(value)
    restarted.restart(3)

    assert list(restarted.values) == list(whole.values)[-3:]
    assert [bool(restarted.update(6.0)) for _ in range(20)] == [False] * 20


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
def test_a_series_restored_from_its_values_continues_as_the_one_before(spec: DetectorSpec) -> None:
    for cut in (1, 40, 61, 90):
        whole, first = Series([spec]), Series([spec])
        before = [bool(whole.update(value)) for value in values()[:cut]]
        assert [bool(first.update(value)) for value in values()[:cut]] == before
        second = Series([spec], values=list(first.values))

        assert [bool(second.update(v)) for v in values()[cut:]] == [
            bool(whole.update(v)) for v in values()[cut:]
        ]


def test_after_acceptance_only_what_leaves_the_new_normal_is_seen() -> None:
    rng = np.random.default_rng(7)
    series = Series(SPECS, values=[0] * 20)
    for _ in range(5):
        series.update(200 + rng.normal(0, 8))
    series.accept(5)

    seen = [series.update(200 + rng.normal(0, 8)) for _ in range(60)]

    assert not any(seen)
    assert series.normal[0] == pytest.approx(200, abs=10)
    assert any(series.update(320 + rng.normal(0, 8)) for _ in range(8))


def test_a_series_that_was_accepted_is_restored_exactly() -> None:
    series = Series(SPECS)
    for step in range(30):
        series.update(100.0 + step % 3)
    series.accept(12)

    again = Series(SPECS, values=series.values, normal=series.normal)

    assert [again.update(130.0) for _ in range(5)] == [series.update(130.0) for _ in range(5)]


def test_a_new_normal_of_few_values_is_learned_from_the_next_ones() -> None:
    series = Series(SPECS)
    series.update(50.0)
    series.accept(1)

    assert [bool(series.normal)] + [bool(series.update(50.0)) or bool(series.normal) for _ in range(9)] == [
        *[False] * 9,
        True,
    ]
