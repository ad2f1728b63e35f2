"""`stream_infer.package` makes a package of what a session has in memory."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import stream_infer
from stream_infer.drift.reference import parse_reference
from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.packaging.create import create_package
from tests.support.rehearsals import unrehearsed

RNG = np.random.default_rng(5)
FRAME = pd.DataFrame({
    "amount": RNG.gamma(2.0, 20.0, 200),
    "shop": pd.Categorical(RNG.choice(["a", "b", "c"], 200)),
    "age": np.where(RNG.random(200) < 0.2, np.nan, RNG.integers(18, 80, 200)),
})  # fmt: skip
LABELS = (FRAME["amount"] > 30) ^ (FRAME["shop"] == "b")
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": "amount", "type": "double"},
        {"name": "shop", "type": "string"},
        {"name": "years", "type": ["null", "double"]},
    ],
}
SHAPE: dict[str, Any] = {"name": "payments", "version": "1", "schema": SCHEMA, "columns": {"age": "years"}}


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stream_infer.packaging.in_memory.create_package", partial(create_package, run=unrehearsed)
    )


def fitted() -> Pipeline:
    columns = make_column_transformer((OneHotEncoder(), ["shop"]), (SimpleImputer(), ["amount", "age"]))
    return make_pipeline(columns, DecisionTreeClassifier(max_depth=4, random_state=0)).fit(FRAME, LABELS)


def test_a_package_of_a_model_in_memory_answers_as_the_model_does(tmp_path: Path) -> None:
    model, sample = fitted(), FRAME.sample(30, random_state=1)

    report = stream_infer.package(model, sample, output=tmp_path / "p", reference=FRAME, **SHAPE)

    assert (report.rows, report.path) == (30, tmp_path / "p")
    assert "answers of the model in memory to the golden frame in memory: label, score" in report.compared
    events = [
        {"amount": amount, "shop": shop, "years": None if np.isnan(age) else age}
        for amount, shop, age in FRAME.itertuples(index=False)
    ]
    answers = stream_infer.open_package(tmp_path / "p").predict(events)
    np.testing.assert_allclose(
        [one["score"] for one in answers], model.predict_proba(FRAME)[:, 1], rtol=1e-9, atol=1e-12
    )


def test_names_of_files_are_taken_as_text(tmp_path: Path) -> None:
    schema = tmp_path / "event.avsc"
    schema.write_text(json.dumps(SCHEMA))

    stream_infer.package(
        fitted(), FRAME.head(20), output=str(tmp_path / "p"), **{**SHAPE, "schema": str(schema)}
    )

    assert (tmp_path / "p" / "input.avsc").read_bytes() == schema.read_bytes()


def test_the_model_in_memory_keeps_its_settings(tmp_path: Path) -> None:
    frame = FRAME[["amount"]]
    model = RandomForestRegressor(3, n_jobs=2, random_state=0).fit(frame, FRAME["amount"])

    stream_infer.package(model, frame, name="p", version="1", schema=SCHEMA, output=tmp_path / "p")

    assert model.n_jobs == 2


def test_a_model_that_answers_otherwise_once_it_is_pickled_is_refused(tmp_path: Path) -> None:
    frame = FRAME[["amount"]]
    model = Forgetful().fit(frame, FRAME["amount"])
    model.bias = 3.0

    with pytest.raises(Refused, match="golden row 0: your own value is"):
        stream_infer.package(model, frame, name="p", version="1", schema=SCHEMA, output=tmp_path / "p")

    assert not (tmp_path / "p").exists()


class Forgetful(LinearRegression):
    """A model whose pickle lacks a part of its state."""

    bias = 0.0

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return super().predict(X) + self.bias

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name != "bias"}


def test_own_answers_are_compared_in_the_order_of_the_frame(tmp_path: Path) -> None:
    model, sample = fitted(), FRAME.sample(30, random_state=1)
    scores = pd.Series(model.predict_proba(sample)[:, 1], sample.index)

    report = stream_infer.package(
        model,
        sample,
        output=tmp_path / "p",
        answers={"score": scores, "label": model.predict(sample)},
        **SHAPE,
    )
    with pytest.raises(Refused, match="of 30 rows differ"):
        stream_infer.package(
            model, sample, output=tmp_path / "q", answers={"score": scores.to_numpy()[::-1]}, **SHAPE
        )

    assert report.compared == "your own answers to the golden rows: score, label"


def test_an_array_is_taken_with_the_names_of_its_columns(tmp_path: Path) -> None:
    matrix = RNG.normal(size=(40, 2))
    model = LinearRegression().fit(matrix, matrix @ [10.0, 1.0])
    fields = [{"name": name, "type": "double"} for name in ("visits", "amount")]
    shape = {"name": "p", "version": "1", "schema": {"type": "record", "name": "E", "fields": fields}}

    stream_infer.package(model, matrix, output=tmp_path / "p", features=["amount", "visits"], **shape)

    [answer] = stream_infer.open_package(tmp_path / "p").predict([{"visits": 2.0, "amount": 50.0}])
    assert answer["value"] == pytest.approx(502.0)
    with pytest.raises(Misconfigured, match="has shape \\(40, 2\\) and no column names"):
        stream_infer.package(model, matrix, output=tmp_path / "q", **shape)
    with pytest.raises(Misconfigured, match="is a list"):
        stream_infer.package(model, matrix.tolist(), output=tmp_path / "q", **shape)  # type: ignore[arg-type]


def test_an_unknown_option_is_reported_with_a_near_name(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as caught:
        stream_infer.package(fitted(), FRAME, output=tmp_path / "p", treshold=0.5, **SHAPE)

    [problem] = caught.value.problems
    assert (problem.key, problem.fix) == ("treshold", "use one of: threshold")


def test_a_model_that_cannot_be_pickled_is_reported(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME[["amount"]], FRAME["amount"])
    model.after = lambda value: value

    with pytest.raises(Misconfigured, match="cannot be pickled"):
        stream_infer.package(model, FRAME[["amount"]], output=tmp_path / "p", **{**SHAPE, "columns": {}})


def test_the_errors_on_labelled_reference_rows_are_the_promise_of_a_package(tmp_path: Path) -> None:
    model, sample = fitted(), FRAME.sample(30, random_state=1)
    labelled = FRAME.assign(true=np.where(np.arange(200) < 50, ~LABELS, LABELS))

    stream_infer.package(model, sample, output=tmp_path / "p", reference=labelled, target="true", **SHAPE)

    reference = parse_reference((tmp_path / "p" / "reference.json").read_bytes())
    wrong = int((model.predict(FRAME) != labelled["true"]).sum())
    assert reference.promise is not None
    assert (reference.promise.error_sum, reference.promise.labels) == (wrong, 200)
    assert ("feature.number", "true") not in reference.columns


def test_the_promise_of_a_regressor_are_quantiles_of_its_errors(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME[["amount"]], FRAME["amount"])
    labelled = FRAME.assign(true=FRAME["amount"] + np.linspace(-1, 1, 200))
    given = SHAPE | {"columns": {}}

    stream_infer.package(
        model, FRAME[["amount"]][:30], output=tmp_path / "p", reference=labelled, target="true", **given
    )

    promise = parse_reference((tmp_path / "p" / "reference.json").read_bytes()).promise
    assert promise is not None
    assert (promise.figure, len(promise.sizes)) == (pytest.approx(0.5, abs=0.02), 100)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"target": "true"}, "names a column of --reference, which is not given"),
        ({"target": "true", "reference": FRAME}, "is no column of --reference"),
    ],
)
def test_a_target_that_is_not_there_is_refused(options: dict[str, Any], what: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=what):
        stream_infer.package(fitted(), FRAME[:30], output=tmp_path / "p", **options, **SHAPE)
