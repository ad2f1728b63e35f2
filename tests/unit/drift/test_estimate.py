"""The estimate without labels: exact sums, a calibration that learns, windows that survive a restart."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from stream_infer.drift.estimate import (
    Calibration,
    ConfidenceBands,
    ConfidenceWindows,
    ModelId,
    WindowConfidence,
)

MODEL = ModelId("1.0.0", "d1")


def test_a_mean_confidence_is_exact() -> None:
    confidences = [float(one) for one in np.random.default_rng(1).uniform(0.5, 1.0, 1_000)]
    bands = ConfidenceBands()
    for one in confidences:
        bands.add(one)

    assert bands.mean == float(sum(map(Fraction, confidences)) / 1_000)


def test_without_labels_the_estimate_is_the_mean_confidence() -> None:
    bands = ConfidenceBands()
    for one in (0.5, 0.75, 1.0):
        bands.add(one)

    assert Calibration().expected_accuracy(bands) == pytest.approx(0.75, abs=1e-12)


def test_labels_correct_an_overconfident_model_and_fade() -> None:
    draw = np.random.default_rng(2)
    calibration, bands = Calibration(), ConfidenceBands()
    for _ in range(500):
        bands.add(0.95)
    for _ in range(2_000):
        calibration.learn(0.95, correct=bool(draw.random() < 0.7))
    assert calibration.expected_accuracy(bands) == pytest.approx(0.7, abs=0.03)

    for _ in range(20_000):
        calibration.learn(0.95, correct=bool(draw.random() < 0.4))
    assert calibration.expected_accuracy(bands) == pytest.approx(0.4, abs=0.03)
    assert calibration.labels <= 5_000


def test_windows_are_ranges_of_offsets_and_survive_a_restart_after_each_prediction() -> None:
    windows = ConfidenceWindows(10)
    closed: list[WindowConfidence] = []
    for offset in range(35):
        model = MODEL if offset % 2 else ModelId("2.0.0", "d2")
        closed += windows.take("predictions/0", offset, 1_000 + offset, model, 0.9)
        stored = json.loads(json.dumps(windows.changed()))
        windows = ConfidenceWindows(10)
        windows.restore(stored)

    assert [(one.model.version, one.first_offset, one.last_offset, one.bands.total) for one in closed] == [
        (version, first, first + 9, 5) for first in (0, 10, 20) for version in ("2.0.0", "1.0.0")
    ]
    assert [one.time_ms for one in closed[::2]] == [1_009, 1_019, 1_029]


def test_a_window_ends_where_offsets_begin_again() -> None:
    windows = ConfidenceWindows(10)

    closed = [one for offset in (0, 1, 2, 0, 1) for one in windows.take("p/0", offset, 1_000, MODEL, 0.9)]

    assert [(one.first_offset, one.last_offset, one.bands.total) for one in closed] == [(0, 2, 3)]
