"""Missing, NaN, infinite and too long values: each feature's own policy, decided before the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_infer.flow.records import Stage
from stream_infer.models.manifest import InputColumn, ModelInput, Policy
from stream_infer.steps.scoring.policy import PolicyResult, apply_policies
from tests.unit.steps.world import feature, manifest

NAN, INF = float("nan"), float("inf")


def applied(column: pa.Array, kind: str = "double", **changes: Any) -> PolicyResult:
    return apply_policies({"f": column}, manifest([feature("f", kind, nullable=True, **changes)]))


def test_ordinary_values_pass_untouched() -> None:
    column = pa.array([1.0, -2.0])

    result = applied(column)

    assert result.columns["f"] is column
    assert result.rows.tolist() == [0, 1]
    assert result.rejected == ()


def test_missing_nan_and_infinite_are_rejected_each_with_its_class() -> None:
    result = applied(pa.array([1.0, None, NAN, INF, -INF, 2.0]))

    assert result.columns["f"].to_pylist() == [1.0, 2.0]
    assert result.rows.tolist() == [0, 5]
    assert [(r.row, r.stage, r.error_class, r.message) for r in result.rejected] == [
        (1, Stage.VALIDATE, "missing", "feature 'f' is missing"),
        (2, Stage.VALIDATE, "nan", "feature 'f' is not a number"),
        (3, Stage.VALIDATE, "infinite", "feature 'f' is infinite"),
        (4, Stage.VALIDATE, "infinite", "feature 'f' is infinite"),
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"missing": Policy.IMPUTE}, [1.0, 9.0]),
        ({"nan": Policy.IMPUTE}, [1.0, 9.0]),
        ({"infinite": Policy.IMPUTE}, [1.0, 9.0, 9.0]),
        (
            {"missing": Policy.IMPUTE, "nan": Policy.IMPUTE, "infinite": Policy.IMPUTE},
            [1.0, 9.0, 9.0, 9.0, 9.0],
        ),
    ],
)
def test_each_is_imputed_where_its_policy_says_so(changes: dict[str, Policy], expected: list[float]) -> None:
    result = applied(pa.array([1.0, None, NAN, INF, -INF]), impute=9.0, **changes)

    assert result.columns["f"].to_pylist() == expected
    assert len(result.rejected) == 5 - len(expected)


def test_what_passes_stays_what_it_is() -> None:
    result = applied(
        pa.array([None, NAN, INF], pa.float32()),
        "float",
        missing=Policy.PASS,
        nan=Policy.PASS,
        infinite=Policy.PASS,
    )

    values = result.columns["f"].to_pylist()
    assert values[0] is None
    assert np.isnan(values[1])
    assert values[2] == INF
    assert result.rejected == ()


def test_a_null_that_the_model_was_never_shown_is_rejected_even_where_nulls_pass() -> None:
    result = apply_policies(
        {"f": pa.array([1.0, None])}, manifest([feature("f", "double", nullable=False, missing=Policy.PASS)])
    )

    assert [r.error_class for r in result.rejected] == ["missing"]


def test_a_mean_imputed_into_whole_numbers_keeps_its_fraction() -> None:
    result = applied(pa.array([1, None], pa.int64()), "long", missing=Policy.IMPUTE, impute=2.5)

    assert result.columns["f"].to_pylist() == [1.0, 2.5]


def test_a_long_that_becomes_a_float_with_an_imputed_mean_is_not_rounded() -> None:
    column = pa.array([2**53 + 1, None, 2**53], pa.int64())

    result = applied(column, "long", missing=Policy.IMPUTE, impute=2.5)

    assert result.columns["f"].to_pylist() == [2.5, 2.0**53]
    assert [(r.row, r.error_class) for r in result.rejected] == [(0, "out_of_precision")]


def test_a_number_out_of_the_range_of_the_model_s_column_is_rejected() -> None:
    features = [feature("f", "long")]
    frame = ModelInput("pandas", (InputColumn("f", "int8"),))

    result = apply_policies({"f": pa.array([127, 128], pa.int64())}, manifest(features, container=frame))

    assert [(r.row, r.error_class) for r in result.rejected] == [(1, "out_of_range")]
    assert result.rejected[0].message == "feature 'f' is out of the range of int8, the model's column"


def test_text_is_imputed() -> None:
    result = applied(pa.array(["a", None]), "string", missing=Policy.IMPUTE, impute="unknown")

    assert result.columns["f"].to_pylist() == ["a", "unknown"]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_long_that_a_float_cannot_hold_is_rejected(sign: int) -> None:
    result = applied(
        pa.array([sign * 2**53, sign * (2**53 + 1), sign * (2**63 - 1), None], pa.int64()), "long"
    )

    assert result.rows.tolist() == [0]
    assert [(r.row, r.error_class) for r in result.rejected] == [
        (1, "out_of_precision"),
        (2, "out_of_precision"),
        (3, "missing"),
    ]


def test_a_row_with_two_faults_is_rejected_once_for_its_first_feature() -> None:
    features = [feature("b", "double"), feature("a", "double")]
    columns = {"a": pa.array([INF, 1.0]), "b": pa.array([NAN, 1.0])}

    result = apply_policies(columns, manifest(features))

    assert [(r.row, r.message) for r in result.rejected] == [(0, "feature 'b' is not a number")]
    assert {name: column.to_pylist() for name, column in result.columns.items()} == {"a": [1.0], "b": [1.0]}


def test_two_features_of_one_field_each_have_their_say() -> None:
    features = [
        feature("lenient", "double", source="f", nan=Policy.PASS),
        feature("strict", "double", source="f"),
    ]

    result = apply_policies({"f": pa.array([NAN, 1.0])}, manifest(features))

    assert [r.message for r in result.rejected] == ["feature 'strict' is not a number"]


def test_a_value_that_the_model_does_not_know_is_rejected_by_the_feature_s_name() -> None:
    columns, accepted = {"f": pa.array([1.0, 2.0, 3.0])}, {"f": pa.array([1.0, 3.0])}

    result = apply_policies(columns, manifest([feature("f", "double")]), accepted)

    assert [(r.row, r.stage, r.error_class) for r in result.rejected] == [(1, "validate", "unseen_category")]
    assert result.rejected[0].message == "feature 'f' has a value that the model does not know"
    assert result.columns["f"].to_pylist() == [1.0, 3.0]
