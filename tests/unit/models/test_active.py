"""`ActiveModel` holds one serving model and replaces it atomically."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LinearRegression

from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.load import Model
from tests.unit.models.builders import manifest


def test_swap_returns_the_previous_model_and_serves_the_new_one() -> None:
    model = Model(manifest(), "sha256:0", LinearRegression().fit(np.eye(2), [0, 1]))
    first, second = ServingModel(model, 1), ServingModel(model, 2)
    active = ActiveModel(first)

    before = active.current
    old = active.swap(second)

    assert before is old is first
    assert active.current is second
