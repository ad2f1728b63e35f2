"""Policies applied to the user's rows, as the worker applies them to events."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stream_infer.models.manifest import Feature, Policy
from stream_infer.packaging.apply_policies import apply_frame_policies

X = Feature("x", "x", "double", nullable=True, missing=Policy.PASS, nan=Policy.PASS, infinite=Policy.PASS)


def settled(cells: list[float | None], feature: Feature) -> list[float]:
    values: list[float] = apply_frame_policies(pd.DataFrame({"x": cells}, dtype=float), [feature])[
        "x"
    ].tolist()
    return values


def test_accepted_values_are_unchanged() -> None:
    found = settled([1.0, None, math.inf], X)

    assert (found[0], found[2]) == (1.0, math.inf)
    assert math.isnan(found[1])


@pytest.mark.parametrize(("nullable", "policy"), [(True, "missing"), (False, "nan")])
def test_an_empty_cell_is_a_null_where_the_field_may_be_null_and_a_nan_elsewhere(
    nullable: bool,  # noqa: FBT001 - a parameter of the test
    policy: str,
) -> None:
    field = replace(X, nullable=nullable, impute=7.0)
    rejecting, imputing = (
        replace(field, missing=one) if policy == "missing" else replace(field, nan=one)
        for one in (Policy.REJECT, Policy.IMPUTE)
    )

    assert settled([1.0, None], rejecting) == [1.0]
    assert settled([1.0, None], imputing) == [1.0, 7.0]


def test_an_infinite_cell_has_its_own_policy() -> None:
    assert settled([1.0, -math.inf], replace(X, infinite=Policy.REJECT)) == [1.0]
    assert settled([1.0, -math.inf], replace(X, infinite=Policy.IMPUTE, impute=0.5)) == [1.0, 0.5]


def test_the_index_has_the_accepted_rows_and_the_users_frame_is_unchanged() -> None:
    frame = pd.DataFrame({"x": [None, 1.0, math.inf, 2.0]})
    before = frame.copy()

    kept = apply_frame_policies(
        frame, [replace(X, missing=Policy.REJECT, infinite=Policy.IMPUTE, impute=0.0)]
    )

    assert kept.index.tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(frame, before)
    assert np.isfinite(kept["x"]).all()
