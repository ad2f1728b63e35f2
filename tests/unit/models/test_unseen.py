"""Values that a model does not know are found, whatever types its encoder and the event have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from stream_infer.models.manifest import InputColumn, ModelInput
from stream_infer.models.unseen import accepted_values, unseen_rows
from tests.unit.steps.world import feature, manifest

FLOATS = pa.float64()


def encoded(values: list[Any], encoder: Any) -> Any:
    frame = pd.DataFrame({"f": pd.Series(values, dtype=object if isinstance(values[0], str) else None)})
    target = np.arange(len(values)) % 2
    return make_pipeline(make_column_transformer((encoder, ["f"])), LogisticRegression()).fit(frame, target)


def found(values: list[Any], kind: str, column: pa.Array, encoder: Any = None) -> list[int] | None:
    """Return the unseen rows of `column`, or None where every value is accepted."""
    described = manifest(
        [feature("f", kind)], container=ModelInput("pandas", (InputColumn("f", "object", "none"),))
    )
    accepted = accepted_values(encoded(values, encoder or OneHotEncoder()), described)
    return unseen_rows(column, accepted["f"]).tolist() if accepted else None


@pytest.mark.parametrize(
    ("values", "kind", "column"),
    [
        (["DE", "FR"], "string", pa.array(["DE", "ES", None, "FR", "", "de"])),
        ([10, 20], "long", pa.array([10, 11, None, 20, 0, -10], pa.int64())),
        ([10, 20], "int", pa.array([10, 11, None, 20, 0, -10], pa.int32())),
        ([10.0, 20.0], "long", pa.array([10, 11, None, 20, 0, -10], pa.int64())),
        ([10, 20], "double", pa.array([10.0, 10.5, None, 20.0, 0.0, -10.0])),
        ([0.5, 1.5], "float", pa.array([0.5, 1.0, None, 1.5, 0.0, -1.0], pa.float32())),
        ([0, 1], "double", pa.array([0.0, 2.0, None, float("nan"), 3.0, 4.0])),
    ],
)
def test_unknown_values_are_found_and_nulls_left_to_their_policy(
    values: list[Any], kind: str, column: pa.Array
) -> None:
    assert found(values, kind, column) == [1, 4, 5]


def test_booleans_are_the_numbers_that_an_encoder_may_have_learnt() -> None:
    column = pa.array([True, False, None, True])

    assert found([True, False], "boolean", column) == []
    assert found([1, 2], "boolean", column) == [1]


def test_a_column_whose_nulls_were_replaced_by_a_mean_is_compared_as_floats() -> None:
    accepted = pa.array([1, 2], pa.int64())

    assert unseen_rows(pa.array([1.0, 1.5, 2.0]), accepted).tolist() == [1]


@pytest.mark.parametrize(
    "lenient",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(handle_unknown="infrequent_if_exist"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ],
)
def test_an_encoder_that_has_an_answer_for_unknown_values_refuses_none(lenient: Any) -> None:
    assert found(["DE", "FR"], "string", pa.array(["ES"]), lenient) is None


def test_an_ordinal_encoder_refuses_unknown_values() -> None:
    assert found(["DE", "FR"], "string", pa.array(["DE", "ES"]), OrdinalEncoder()) == [1]


def test_a_column_of_dtype_category_accepts_its_categories() -> None:
    column = InputColumn("f", "category", "nan", ("a", "b"))
    described = manifest([feature("f", "string")], container=ModelInput("pandas", (column,)))

    accepted = accepted_values(LogisticRegression(), described)

    assert unseen_rows(pa.array(["a", "c", None, "b"]), accepted["f"]).tolist() == [1]
