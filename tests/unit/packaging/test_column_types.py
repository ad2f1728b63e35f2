"""Columns get the types of the training data, whatever a file has kept of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from stream_infer.flow.errors import Misconfigured
from tests.unit.packaging.workshop import Workshop, assert_close, column

RNG = np.random.default_rng(0)
ROWS = 300


def shops(values: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"shop": pd.Categorical(RNG.choice(values, ROWS)), "amount": RNG.normal(size=ROWS)})


def third(frame: pd.DataFrame) -> np.ndarray:
    """Return labels that depend on the third category."""
    return ((frame["shop"].cat.codes == 2) | (frame["amount"] > 1)).to_numpy(dtype=int)


def event_of(kind: Any) -> dict[str, Any]:
    fields = [{"name": "shop", "type": kind}, {"name": "amount", "type": "double"}]
    return {"type": "record", "name": "Event", "fields": fields}


def one_of_each(values: list[Any]) -> list[dict[str, Any]]:
    return [{"shop": value, "amount": 0.25} for value in values]


def own_scores(model: Any, frame: pd.DataFrame, values: list[Any]) -> np.ndarray:
    probe = pd.DataFrame(one_of_each(values)).astype({"shop": frame["shop"].dtype})
    return np.asarray(model.predict_proba(probe))[:, 1]


def written(workshop: Workshop, frame: pd.DataFrame, suffix: str) -> Path:
    path = workshop.folder / f"golden.{suffix}"
    frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
    return path


def histograms() -> Any:
    return HistGradientBoostingClassifier(max_iter=20)


def lightgbm() -> Any:
    return pytest.importorskip("lightgbm").LGBMClassifier(
        n_estimators=20, verbose=-1, min_child_samples=5, n_jobs=1
    )


def xgboost() -> Any:
    return pytest.importorskip("xgboost").XGBClassifier(n_estimators=10, enable_categorical=True, n_jobs=1)


BOOSTERS = [histograms, lightgbm, xgboost]


@pytest.mark.parametrize(
    ("make", "values", "kind"),
    [
        *((make, [10, 20, 30, 40], "int") for make in BOOSTERS),
        (histograms, [True, False], "boolean"),
        (lightgbm, [True, False], "boolean"),  # XGBoost takes no categories of booleans
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_categories_of_numbers_and_booleans_score_as_in_training(
    workshop: Workshop, make: Callable[[], Any], values: list[Any], kind: str, suffix: str
) -> None:
    frame = shops(values)
    model = make().fit(frame, third(frame) | (frame["shop"].cat.codes == 1))

    workshop.create(model, written(workshop, frame.head(8), suffix), schema=event_of(kind))

    answers = workshop.answers(one_of_each(values))
    assert_close(column(answers, "score"), own_scores(model, frame, values))


@pytest.mark.parametrize("make", BOOSTERS)
def test_a_sample_with_some_of_the_categories_is_enough(workshop: Workshop, make: Callable[[], Any]) -> None:
    frame = shops(list("abcd"))
    model = make().fit(frame, third(frame))
    few = frame[frame["shop"].isin(["b", "d"])].head(6)
    few = few.assign(shop=few["shop"].cat.remove_unused_categories())

    workshop.create(model, written(workshop, few, "parquet"), schema=event_of("string"))

    answers = workshop.answers(one_of_each(list("abcd")))
    assert_close(column(answers, "score"), own_scores(model, frame, list("abcd")))


class _ByCode(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that scores by the code of a category, and keeps no categories."""

    def fit(self, frame: pd.DataFrame, target: Any) -> Any:
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.classes_ = np.unique(target)
        return self

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        score = (frame["shop"].cat.codes.to_numpy() + 1) / 10
        return np.column_stack([1 - score, score])

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return self.classes_[(self.predict_proba(frame)[:, 1] > 0.2).astype(int)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_categories_that_a_model_does_not_tell_are_those_of_the_reference(
    workshop: Workshop, suffix: str
) -> None:
    frame = shops(list("abcd"))
    model = _ByCode().fit(frame, third(frame))
    reference = workshop.folder / "training.parquet"
    frame.to_parquet(reference)
    few = frame[frame["shop"].isin(["b", "d"])].head(6)
    few = few.assign(shop=few["shop"].cat.remove_unused_categories())

    report = workshop.create(
        model, written(workshop, few, suffix), reference=reference, schema=event_of("string")
    )

    answers = workshop.answers(one_of_each(list("abcd")))
    assert_close(column(answers, "score"), own_scores(model, frame, list("abcd")))
    assert any("categories of 'shop' are those of the samples (a, b, c, d)" in note for note in report.notes)


def test_the_dtype_option_makes_a_category_of_a_csv_column(workshop: Workshop) -> None:
    frame = shops(list("abcd"))
    model = _ByCode().fit(frame, third(frame))

    workshop.create(
        model, written(workshop, frame.head(40), "csv"), schema=event_of("string"), dtypes=("shop=category",)
    )

    answers = workshop.answers(one_of_each(list("abcd")))
    assert_close(column(answers, "score"), own_scores(model, frame, list("abcd")))


@pytest.mark.parametrize(
    ("dtype", "what"),
    [
        ("shop=complex128", "a column of dtype complex128 cannot be filled from events"),
        ("shop=float64", r"column 'shop' \(\w+\) cannot be read as float64"),
        ("amount=int64", r"column 'amount' \(float64\) cannot be read as int64"),
        ("shpo=category", "there is no column of the model 'shpo'"),
        ("shop", "is not COLUMN=DTYPE"),
    ],
)
def test_a_dtype_that_the_sample_cannot_have_is_refused(workshop: Workshop, dtype: str, what: str) -> None:
    frame = shops(list("abcd"))
    model = _ByCode().fit(frame, third(frame))

    with pytest.raises(Misconfigured, match=what):
        workshop.create(
            model, written(workshop, frame.head(8), "csv"), schema=event_of("string"), dtypes=(dtype,)
        )


def test_rows_with_categories_that_the_model_does_not_know_are_left_out_with_a_note(
    workshop: Workshop,
) -> None:
    frame = shops(list("abc"))
    model = histograms().fit(frame, third(frame))
    sample = frame.head(8).astype({"shop": object})
    sample.loc[[2, 5], "shop"] = "z"

    report = workshop.create(model, written(workshop, sample, "csv"), schema=event_of("string"))

    assert report.rows == 6
    assert "2 rows of --golden are left out: the model does not know their 'shop' (z)" in report.notes


def test_a_sample_without_known_categories_is_refused(workshop: Workshop) -> None:
    frame = shops(list("abc"))
    model = histograms().fit(frame, third(frame))
    sample = frame.head(8).assign(shop="z")

    with pytest.raises(Misconfigured, match="no row has categories that the model knows"):
        workshop.create(model, written(workshop, sample, "csv"), schema=event_of("string"))


@pytest.mark.parametrize(
    ("values", "kind", "what"),
    [
        ([10, 20, 30], "string", r"knows the values of column 'shop' as numbers \(10, 20, 30\), and field"),
        (list("abc"), "int", r"knows the values of column 'shop' as text \('a', 'b', 'c'\), and field"),
    ],
)
@pytest.mark.parametrize("native", [True, False])
def test_values_that_the_field_can_never_have_are_refused(
    workshop: Workshop, values: list[Any], kind: str, what: str, *, native: bool
) -> None:
    frame = shops(values)
    encoder = make_column_transformer((OrdinalEncoder(), ["shop"]), remainder="passthrough")
    model = (histograms() if native else make_pipeline(encoder, LogisticRegression())).fit(
        frame, third(frame)
    )

    with pytest.raises(Misconfigured, match=what):
        workshop.create(model, written(workshop, frame.head(8), "csv"), schema=event_of(kind))


PLANS = pd.DataFrame(
    {
        "shop": pd.Series(RNG.choice(["gold", "basic", None], ROWS), dtype=object),
        "amount": RNG.normal(size=ROWS),
    }
)


def test_an_encoder_that_knows_nan_gets_no_none(workshop: Workshop) -> None:
    truths = pd.Series(RNG.random(ROWS) < 0.5).astype(object).mask(RNG.random(ROWS) < 0.2)
    frame = pd.DataFrame({"shop": truths.astype("category"), "amount": RNG.normal(size=ROWS)})
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    model = make_pipeline(make_column_transformer((encoder, ["shop"])), LogisticRegression())
    model.fit(frame, frame["shop"].isna())

    # Parquet turns a category of booleans into objects with None.
    workshop.create(model, written(workshop, frame.head(20), "parquet"), schema=event_of(["null", "boolean"]))

    answers = workshop.answers(one_of_each([None, True, False]))
    assert_close(column(answers, "score"), own_scores(model, frame, [None, True, False]))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("rows", [PLANS.head(20), PLANS.dropna().head(12)])
@pytest.mark.parametrize("null", [None, np.nan])
def test_a_null_that_is_a_category_scores_as_in_training(
    workshop: Workshop, suffix: str, rows: pd.DataFrame, null: object
) -> None:
    frame = PLANS.assign(shop=PLANS["shop"].where(PLANS["shop"].notna(), null))
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["shop"]))
    model = make_pipeline(encoder, LogisticRegression(C=100)).fit(frame, frame["shop"].isna())

    workshop.create(model, written(workshop, rows, suffix), schema=event_of(["null", "string"]))

    answers = workshop.answers(one_of_each([None, "gold", "basic"]))
    probe = pd.DataFrame({"shop": pd.Series([null, "gold", "basic"], dtype=object), "amount": 0.25})
    assert_close(column(answers, "score"), model.predict_proba(probe)[:, 1])


def test_floats_of_32_bits_are_told_by_their_text(workshop: Workshop) -> None:
    values = RNG.normal(size=ROWS).astype(np.float32)
    frame = pd.DataFrame({"shop": values, "amount": RNG.normal(size=ROWS)})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, values > 0)

    workshop.create(model, written(workshop, frame.head(20), "csv"), schema=event_of("float"))

    events = [{"shop": float(shop), "amount": amount} for shop, amount in frame.to_numpy(dtype=float)]
    answers = workshop.answers(events)
    np.testing.assert_allclose(column(answers, "score"), model.predict_proba(frame)[:, 1], rtol=1e-6)


def test_text_that_looks_like_numbers_stays_text(workshop: Workshop) -> None:
    frame = pd.DataFrame({"shop": RNG.choice(["01234", "90210"], ROWS), "amount": RNG.normal(size=ROWS)})
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["shop"]))
    model = make_pipeline(encoder, LogisticRegression()).fit(frame, frame["shop"] == "01234")

    workshop.create(model, written(workshop, frame.head(6), "csv"), schema=event_of("string"))

    answers = workshop.answers(one_of_each(["01234", "90210"]))
    assert column(answers, "label") == ["True", "False"]
