"""Models of other libraries with scikit-learn's interface: packaged as their makers have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier, CatBoostRegressor
from lightgbm import LGBMClassifier

from stream_infer.flow.errors import Misconfigured
from tests.unit.packaging.workshop import Workshop, assert_close, column

RNG = np.random.default_rng(0)
SALES = pd.DataFrame({"shop": RNG.choice(list("abc"), 300), "amount": RNG.normal(size=300)})
SHOP_B = SALES["shop"] == "b"
CELLS = pd.DataFrame(RNG.normal(size=(300, 2)), columns=["mean radius", "mean area"])
BIG = CELLS["mean radius"] > 0
SALE_EVENT = {
    "type": "record",
    "name": "Sale",
    "fields": [{"name": "shop", "type": "string"}, {"name": "amount", "type": "double"}],
}
CELL_EVENT = {
    "type": "record",
    "name": "Cell",
    "fields": [{"name": "mean_area", "type": "double"}, {"name": "mean_radius", "type": "double"}],
}
QUIET = {"iterations": 20, "verbose": 0, "allow_writing_files": False}


def lightgbm(frame: Any) -> LGBMClassifier:
    return LGBMClassifier(n_estimators=5, verbose=-1).fit(frame, BIG)


def cell_events(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows of `frame` as events: no Avro field has a blank in its name."""
    return frame.rename(columns=lambda name: name.replace(" ", "_")).to_dict("records")


def test_a_bare_catboost_model_scores_its_categories_of_text(workshop: Workshop) -> None:
    model = CatBoostClassifier(**QUIET, cat_features=["shop"]).fit(SALES, SHOP_B)

    workshop.create(model, SALES.head(10), schema=SALE_EVENT)

    answers = workshop.answers(SALES.to_dict("records"))
    assert_close(column(answers, "score"), model.predict_proba(SALES)[:, 1])
    assert set(column(answers, "label")) == {"True", "False"}


def test_a_catboost_model_finds_its_columns_in_another_order_of_the_sample(workshop: Workshop) -> None:
    model = CatBoostClassifier(**QUIET, cat_features=["shop"]).fit(SALES, SHOP_B)

    workshop.create(model, SALES[["amount", "shop"]].head(10), schema=SALE_EVENT)

    assert_close(
        column(workshop.answers(SALES.to_dict("records")), "score"), model.predict_proba(SALES)[:, 1]
    )


@pytest.mark.parametrize("columns", [["amount"], ["shop", "amount"]], ids=["numbers", "objects"])
def test_a_catboost_model_fitted_on_an_array_takes_its_columns_by_position(
    workshop: Workshop, columns: list[str]
) -> None:
    categories = [0] if columns[0] == "shop" else []
    frame = SALES[columns]
    model = CatBoostRegressor(**QUIET, cat_features=categories).fit(frame.to_numpy(), SALES["amount"] * 2)

    workshop.create(model, frame.head(10), schema=SALE_EVENT)

    assert_close(column(workshop.answers(SALES.to_dict("records")), "value"), model.predict(frame.to_numpy()))


def test_a_column_that_a_catboost_model_lacks_in_the_sample_is_named_with_the_nearest(
    workshop: Workshop,
) -> None:
    model = CatBoostClassifier(**QUIET, cat_features=["shop"]).fit(SALES, SHOP_B)

    with pytest.raises(Misconfigured) as raised:
        workshop.create(model, SALES.rename(columns={"shop": "shops"}).head(10), schema=SALE_EVENT)

    [problem] = raised.value.problems
    assert problem.message == "the model takes a column 'shop' that the golden sample lacks"
    assert problem.fix == "rename the column: shops"


def test_lightgbm_takes_names_with_blanks_as_its_maker_spells_them(workshop: Workshop) -> None:
    model = lightgbm(CELLS)

    workshop.create(model, CELLS[["mean area", "mean radius"]].head(10), schema=CELL_EVENT)

    expected = model.predict_proba(CELLS)[:, 1]
    assert_close(column(workshop.answers(cell_events(CELLS)), "score"), expected)


def test_lightgbm_fitted_on_an_array_takes_the_columns_of_the_sample(workshop: Workshop) -> None:
    model = lightgbm(CELLS.to_numpy())

    workshop.create(model, CELLS.head(10), schema=CELL_EVENT, features=tuple(CELLS.columns))

    expected = model.predict_proba(CELLS.to_numpy())[:, 1]
    assert_close(column(workshop.answers(cell_events(CELLS)), "score"), expected)


def test_two_names_that_are_one_field_without_their_signs_are_told_apart_with_map(
    workshop: Workshop,
) -> None:
    twins = CELLS.rename(columns={"mean area": "mean-radius"})
    model = lightgbm(twins)

    with pytest.raises(Misconfigured) as raised:
        workshop.create(model, twins.head(10), schema=CELL_EVENT)
    assert all("--map" in problem.fix for problem in raised.value.problems)

    workshop.create(
        model,
        twins.head(10),
        schema=CELL_EVENT,
        columns=("mean radius=mean_radius", "mean-radius=mean_area"),
    )
    assert_close(column(workshop.answers(cell_events(CELLS)), "score"), model.predict_proba(twins)[:, 1])
