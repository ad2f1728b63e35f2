"""`create` says which nulls will be dead letters, and how to have them scored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.unit.packaging.workshop import Workshop, assert_close, column

KINDS = {"amount": "double", "count": "long", "flag": "boolean"}
EVENT = {
    "type": "record",
    "name": "Event",
    "fields": [{"name": name, "type": ["null", kind], "default": None} for name, kind in KINDS.items()]
    + [{"name": "plan", "type": ["null", "string"], "default": None}],
}
FRAME = pd.DataFrame(
    {
        "amount": np.linspace(0.0, 1.0, 60),
        "count": np.arange(60) % 7,
        "flag": np.arange(60) % 2 == 0,
        "plan": ["gold", "basic"] * 30,
    }
)
TARGET = np.arange(60.0)
NUMBERS = FRAME[list(KINDS)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nulls_that_the_model_takes_are_accepted_by_the_option_that_the_note_names(
    workshop: Workshop, kind: str
) -> None:
    model = HistGradientBoostingRegressor(max_iter=5).fit(NUMBERS, TARGET)
    event = {**NUMBERS.iloc[3].to_dict(), "plan": None, "count": 3, "flag": True, kind: None}
    probe = NUMBERS.head(1).assign(amount=event["amount"], count=3, flag=True).astype({kind: object})
    probe[kind] = np.nan

    report = workshop.create(model, NUMBERS, schema=EVENT)
    [rejected] = workshop.answers([event])
    accepting = workshop.create(
        model, NUMBERS, schema=EVENT, missing=(f"{kind}=pass",), output=workshop.folder / "passes"
    )
    workshop.package = workshop.folder / "passes"

    [note] = [note for note in report.notes if "will be dead letters" in note]
    assert "a null in amount, count, flag" in note
    assert "--missing 'amount=pass'" in note
    assert rejected["error"]["class"] == "missing"
    assert not any(f"{kind}" in note for note in accepting.notes)
    assert_close(column(workshop.answers([event]), "value"), model.predict(probe.astype("float64")))


def test_nulls_that_the_model_does_not_take_are_named_too(workshop: Workshop) -> None:
    model = LinearRegression().fit(NUMBERS, TARGET)

    report = workshop.create(model, NUMBERS, schema=EVENT, missing=("flag=impute:true",))

    [note] = [note for note in report.notes if "will be dead letters" in note]
    assert "a null in amount, count will be" in note
    assert "the model raises for it: --missing 'amount=impute:VALUE'" in note


def test_text_without_nulls_is_tried_with_one(workshop: Workshop) -> None:
    encoder = make_column_transformer((OneHotEncoder(), ["plan"]))
    model: Any = make_pipeline(encoder, LinearRegression()).fit(FRAME[["plan"]], TARGET)

    report = workshop.create(model, FRAME[["plan"]], schema=EVENT)

    assert [note for note in report.notes if "the model raises for it" in note]


def test_a_sample_with_nulls_needs_no_note(workshop: Workshop) -> None:
    model = HistGradientBoostingRegressor(max_iter=5).fit(NUMBERS, TARGET)
    holes = NUMBERS.astype({"flag": object}).mask(np.arange(60)[:, None] % 7 == np.arange(3))

    report = workshop.create(model, holes.astype({"flag": "boolean"}), schema=EVENT)

    assert report.notes == ()


def test_nan_that_the_model_takes_is_told_of_fields_that_are_never_null(workshop: Workshop) -> None:
    event = {"type": "record", "name": "Event", "fields": [{"name": "amount", "type": "double"}]}
    amounts = FRAME[["amount"]]
    taking = HistGradientBoostingRegressor(max_iter=5).fit(amounts, TARGET)
    raising = LinearRegression().fit(amounts, TARGET)

    report = workshop.create(taking, amounts, schema=event)
    passing = workshop.create(
        taking, amounts, schema=event, nan=("amount=pass",), output=workshop.folder / "passes"
    )
    other = workshop.create(raising, amounts, schema=event, output=workshop.folder / "raises")

    [note] = report.notes
    assert note.startswith("events with NaN in amount will be dead letters")
    assert "--nan 'amount=pass'" in note
    assert passing.notes == other.notes == ()
