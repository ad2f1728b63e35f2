"""`reference.json` summarises columns and scores exactly and reproducibly."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_infer.avro.schemas import NO_DEFAULT, Leaf
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Scores
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.reference import MAX_CATEGORIES, summarise_reference

NO_SCORES = Scores(value=np.zeros(1))
NUMBER = OutputContract("regressor")


def leaf(name: str, kind: str, logical: str | None = None) -> Bound:
    return Bound(name, Leaf(name, kind, nullable=True, logical=logical, default=NO_DEFAULT))


def summary(kind: str = "double", **columns: object) -> dict[str, dict[str, Any]]:
    bound = [leaf(name, kind) for name in columns]
    features: dict[str, dict[str, Any]] = json.loads(
        summarise_reference(pd.DataFrame(columns), bound, NO_SCORES, NUMBER)
    )["features"]
    return features


def test_numbers_are_binned_by_deciles_and_nulls_counted_apart() -> None:
    seen = summary(x=[*range(100), None, np.inf])["x"]

    assert (seen["count"], seen["nulls"], seen["infinite"]) == (102, 1, 1)
    assert (seen["min"], seen["max"], seen["mean"]) == (0.0, 99.0, 49.5)
    assert seen["quantiles"]["0.5"] == 49.5
    assert seen["bins"]["counts"] == [10] * 10


def test_a_constant_and_an_empty_column_have_no_width() -> None:
    seen = summary(same=[2.0, 2.0], none=[None, np.nan])

    assert seen["same"]["bins"] == {"edges": [2.0], "counts": [2]}
    assert seen["same"]["stddev"] == 0.0
    assert seen["none"] == {"kind": "numbers", "count": 2, "nulls": 2, "infinite": 0}


def test_text_is_counted_by_category_with_the_rare_ones_together() -> None:
    seen = summary("string", s=[*["b"] * 3, *["a"] * 2, None])["s"]
    rare = summary("string", s=[f"v{i:03}" for i in range(MAX_CATEGORIES + 5)])["s"]

    assert (seen["categories"], seen["other"], seen["nulls"]) == ({"a": 2, "b": 3}, 0, 1)
    assert (len(rare["categories"]), rare["other"]) == (MAX_CATEGORIES, 5)


def test_scores_and_labels_are_summarised_beside_the_features() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "flag": [True, False]})
    scores = Scores(np.array(["no", "yes"], dtype=object), np.array([0.25, 0.75]))

    contract = OutputContract("classifier", ("no", "yes"), score="probability")
    seen = json.loads(
        summarise_reference(frame, [leaf("x", "double"), leaf("flag", "boolean")], scores, contract)
    )

    assert seen["outputs"]["score"]["mean"] == 0.5
    assert seen["labels"] == {"categories": {"no": 1, "yes": 1}, "other": 0}
    assert seen["features"]["flag"]["mean"] == 0.5


def test_timestamps_are_summarised_in_the_unit_of_their_field() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["1970-01-01T00:00:01Z", None])})

    at = leaf("at", "long", "timestamp-millis")
    seen = json.loads(summarise_reference(frame, [at], NO_SCORES, NUMBER))["features"]["at"]

    assert (seen["kind"], seen["min"], seen["nulls"]) == ("numbers", 1000.0, 1)


@given(arrays.arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e9, 1e9)))
def test_every_number_falls_into_one_bin_and_order_does_not_matter(values: np.ndarray) -> None:
    seen = summary(x=values)["x"]

    assert sum(seen["bins"]["counts"]) == len(values)
    shuffled = summary(x=np.sort(values))["x"]
    assert {**shuffled, "mean": 0, "stddev": 0} == {**seen, "mean": 0, "stddev": 0}
