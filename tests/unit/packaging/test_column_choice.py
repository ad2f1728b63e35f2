"""Columns that a model drops are not asked of events; the order of an array is said, and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline

from stream_infer.flow.errors import Misconfigured
from stream_infer.packaging.column_choice import dropped_columns
from tests.unit.packaging.workshop import Workshop

RNG = np.random.default_rng(2)
WHOLE = pd.DataFrame({
    "customer": "c1",
    "a": RNG.normal(size=80),
    "b": RNG.normal(size=80),
    "target": np.arange(80) % 2,
})  # fmt: skip
TARGET = WHOLE["a"] + WHOLE["b"] / 7 > 0


def schema(*names: str) -> dict[str, Any]:
    fields = [{"name": name, "type": "string" if name == "customer" else "double"} for name in names]
    return {"type": "record", "name": "E", "fields": fields}


def picks(columns: Any, **more: Any) -> ColumnTransformer:
    return ColumnTransformer([("n", "passthrough", columns)], **more)


def _those_called_a_or_b(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame if name in "ab"]


def classifier(first: ColumnTransformer | None = None) -> Any:
    return make_pipeline(first or picks(["a", "b"]), LogisticRegression())


@pytest.mark.parametrize(
    "first",
    [
        picks(["a", "b"]),
        picks([1, 2]),
        picks(slice("a", "b")),
        picks([False, True, True, False]),
        picks(_those_called_a_or_b),
        ColumnTransformer(
            [("n", "passthrough", ["a"]), ("x", "drop", ["customer", "target"])], remainder="passthrough"
        ),
    ],
    ids=["names", "positions", "slice", "mask", "callable", "dropped by name"],
)
@pytest.mark.parametrize("sample", [["a", "b"], list(WHOLE.columns)], ids=["without them", "with them"])
def test_columns_that_the_pipeline_drops_are_no_features(
    workshop: Workshop, first: ColumnTransformer, sample: list[str]
) -> None:
    model = classifier(first).fit(WHOLE, TARGET)

    report = workshop.create(model, WHOLE[sample].head(20), schema=schema("a", "b"))

    assert report.features == 2
    assert "no features, because the model drops them: customer, target" in report.notes
    answers = workshop.answers(WHOLE[["a", "b"]].to_dict("records"))
    np.testing.assert_allclose([one["score"] for one in answers], model.predict_proba(WHOLE)[:, 1])


def test_a_dropped_column_is_not_asked_of_an_event_that_has_its_field(workshop: Workshop) -> None:
    model = classifier().fit(WHOLE, TARGET)

    report = workshop.create(model, WHOLE.head(20), schema=schema("customer", "a", "b"))

    assert report.features == 2


@pytest.mark.parametrize(
    "model",
    [
        GridSearchCV(classifier(), {"logisticregression__C": [1.0, 2.0]}, cv=2),
        CalibratedClassifierCV(classifier(), cv=2),
        FixedThresholdClassifier(classifier(), threshold=0.4),
        TransformedTargetRegressor(make_pipeline(picks(["a", "b"]), LinearRegression())),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_pipeline_within_another_estimator_is_found(workshop: Workshop, model: Any) -> None:
    model.fit(WHOLE, TARGET.astype(int))

    assert dropped_columns(model) == {"customer", "target"}
    assert workshop.create(model, WHOLE[["a", "b"]].head(20), schema=schema("a", "b")).features == 2


@pytest.mark.parametrize("model", [LogisticRegression(), make_pipeline(LogisticRegression()), classifier()])
def test_a_model_that_drops_nothing_needs_all_columns(model: Any) -> None:
    assert dropped_columns(model.fit(WHOLE[["a", "b"]], TARGET)) == frozenset()
    assert dropped_columns(classifier(picks([0, 1])).fit(WHOLE[["a", "b"]].to_numpy(), TARGET)) == frozenset()


VALUES = pd.DataFrame({"amount": [50.0, 3.0, 4.0], "visits": [2.0, 3.0, 9.0]})
ON_ARRAY = LinearRegression().fit(VALUES.to_numpy(), VALUES["amount"] * 10 + VALUES["visits"])


def test_an_order_that_the_sample_and_the_event_do_not_agree_on_is_refused_with_both(
    workshop: Workshop,
) -> None:
    swapped = VALUES[["visits", "amount"]]

    with pytest.raises(Misconfigured) as caught:
        workshop.create(ON_ARRAY, swapped, schema=schema("amount", "visits"))
    report = workshop.create(
        ON_ARRAY, swapped, schema=schema("amount", "visits"), features=("amount", "visits")
    )

    [problem] = caught.value.problems
    assert problem.key == "--features"
    assert "the sample has visits, amount; the event has amount, visits" in problem.message
    assert "--features visits,amount or --features amount,visits, or check it" in problem.fix
    assert report.notes == ()
    [answer] = workshop.answers([{"amount": 50.0, "visits": 2.0}])
    assert answer["value"] == pytest.approx(502.0)


def test_an_order_that_the_reference_has_otherwise_is_refused(workshop: Workshop) -> None:
    reference = workshop.csv("reference.csv", VALUES[["visits", "amount"]])

    with pytest.raises(Misconfigured, match="the reference has visits, amount"):
        workshop.create(ON_ARRAY, VALUES, schema=schema("amount", "visits"), reference=reference)


def test_an_order_that_all_agree_on_is_said(workshop: Workshop) -> None:
    [note] = workshop.create(ON_ARRAY, VALUES, schema=schema("amount", "visits")).notes

    assert "its columns are taken to be, in this order, amount, visits; --features names another" in note


def test_own_answers_check_the_order(workshop: Workshop) -> None:
    golden = VALUES.assign(own=ON_ARRAY.predict(VALUES.to_numpy()))

    assert (
        workshop.create(ON_ARRAY, golden, schema=schema("visits", "amount"), answers="value=own").notes == ()
    )


def test_one_column_has_no_order(workshop: Workshop) -> None:
    model = LinearRegression().fit(VALUES[["amount"]].to_numpy(), VALUES["visits"])

    assert workshop.create(model, VALUES[["amount"]], schema=schema("amount")).notes == ()
