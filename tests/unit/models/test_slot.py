"""A slot holds one lineup and replaces it whole."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LinearRegression

from stream_infer.models.load import Model
from stream_infer.models.slot import Lineup, Slot
from tests.unit.models.builders import manifest


def test_a_swap_returns_the_old_lineup_and_serves_the_new() -> None:
    model = Model(manifest(), "sha256:0", LinearRegression().fit(np.eye(2), [0, 1]))
    first, second = Lineup(model, 1), Lineup(model, 2)
    slot = Slot(first)

    held = slot.current
    old = slot.swap(second)

    assert held is old is first
    assert slot.current is second
