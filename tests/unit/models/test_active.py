"""A slot holds one serving model and replaces it whole."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LinearRegression

from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.load import Model
from tests.unit.models.builders import manifest


def test_a_swap_returns_the_old_lineup_and_serves_the_new() -> None:
    model = Model(manifest(), "sha256:0", LinearRegression().fit(np.eye(2), [0, 1]))
    first, second = ServingModel(model, 1), ServingModel(model, 2)
    slot = ActiveModel(first)

    held = slot.current
    old = slot.swap(second)

    assert held is old is first
    assert slot.current is second
