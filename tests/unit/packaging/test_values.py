"""Models that give several numbers a row: named, packaged, proved and answered by name."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LinearRegression, QuantileRegressor, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import stream_infer
from stream_infer.drift.frames import OUTPUT_NUMBER
from stream_infer.drift.reference import parse_reference
from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.package import verify
from stream_infer.packaging.create import create_package
from stream_infer.packaging.summary import summarise_package
from stream_infer.steps.scoring.golden import read_golden, replay_rows
from tests.support.rehearsals import unrehearsed

RNG = np.random.default_rng(8)
FRAME = pd.DataFrame({"area": RNG.gamma(2.0, 40.0, 120), "rooms": RNG.integers(1, 6, 120)})
TARGETS = pd.DataFrame({
    "rent": FRAME["area"] * 11.0 + FRAME["rooms"] * 30.0 + RNG.normal(0, 5, 120),
    "days": 90.0 - FRAME["area"] / 7.0,
    "heat": FRAME["area"] * 0.8 + 20.0,
})  # fmt: skip
NAMES = tuple(TARGETS.columns)
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Flat",
    "fields": [{"name": "area", "type": "double"}, {"name": "rooms", "type": "int"}],
}
EVENTS = FRAME.to_dict("records")
package = partial(create_package, run=unrehearsed)


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_infer.packaging.in_memory.create_package", package)


def pack(folder: Path, model: Any, **options: Any) -> Path:
    stream_infer.package(
        model, FRAME.head(40), name="flats", version="1", schema=SCHEMA, output=folder / "p", **options
    )
    return folder / "p"


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), MultiOutputRegressor(DecisionTreeRegressor(max_depth=3))),
        RegressorChain(make_pipeline(StandardScaler(), Ridge()), order=[2, 0, 1]),
    ],
)
def test_each_number_of_a_model_is_answered_by_its_name(tmp_path: Path, model: Any) -> None:
    model.fit(FRAME, TARGETS)

    answers = stream_infer.open_package(pack(tmp_path, model, values=TARGETS.columns)).predict(EVENTS)

    own = pd.DataFrame(model.predict(FRAME), columns=list(NAMES))
    pd.testing.assert_frame_equal(pd.DataFrame([one["values"] for one in answers]), own, rtol=1e-9)
    assert {one["value"] for one in answers} == {None}


def test_the_primary_value_is_the_value_too(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME, TARGETS)

    answers = stream_infer.open_package(pack(tmp_path, model, values=NAMES, primary="days")).predict(EVENTS)

    assert [one["value"] for one in answers] == [one["values"]["days"] for one in answers]
    assert answers[0]["value"] == pytest.approx(model.predict(FRAME)[0, 1])


class Named(RegressorMixin, BaseEstimator):
    """A model whose answers are a frame."""

    def fit(self, frame: pd.DataFrame, targets: pd.DataFrame) -> Named:
        self.model_ = LinearRegression().fit(frame, targets)
        self.names_ = list(targets.columns)
        return self

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(self.model_.predict(frame), columns=self.names_)


def test_the_names_are_those_of_the_frame_that_a_model_answers(tmp_path: Path) -> None:
    path = pack(tmp_path, Named().fit(FRAME, TARGETS))

    assert verify(path).manifest.output.numbers == NAMES
    assert set(stream_infer.open_package(path).predict(EVENTS[:1])[0]["values"]) == set(NAMES)


@pytest.mark.parametrize(
    ("options", "key", "said", "fix"),
    [
        ({}, "--values", "3 numbers a row, and they have no names", "--values NAME,NAME,NAME"),
        ({"values": NAMES[:2]}, "--values", "2 names, and the model gives 3", "--values NAME"),
        ({"values": ["a", "b", "a"]}, "--values", "twice", "its own name"),
        ({"values": ["score", "b", "c"]}, "--values", "every prediction has", "otherwise"),
        ({"values": NAMES, "primary": "day"}, "--primary", "no value 'day'", "rent, days, heat"),
    ],
)
def test_values_without_good_names_are_refused(
    tmp_path: Path, options: dict[str, Any], key: str, said: str, fix: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        pack(tmp_path, LinearRegression().fit(FRAME, TARGETS), **options)

    [problem] = caught.value.problems
    assert problem.key == key
    assert said in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize("options", [{"values": ["rent", "days"]}, {"primary": "rent"}])
def test_a_model_with_one_number_has_no_named_values(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match="gives one answer"):
        pack(tmp_path, LinearRegression().fit(FRAME, TARGETS["rent"]), **options)


def test_own_answers_are_compared_value_by_value(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME, TARGETS)
    own = pd.DataFrame(model.predict(FRAME.head(40)), columns=list(NAMES))
    wrong = own["days"].mask(own.index == 7, 3.5)

    with pytest.raises(Refused, match=r"golden row 7: your own days is 3\.5") as caught:
        pack(tmp_path, model, values=NAMES, answers={"rent": own["rent"], "days": wrong})

    assert "1 of 40 rows differ" in caught.value.reason
    report = stream_infer.package(
        model, FRAME.head(40).assign(**own.add_suffix("_was")), name="flats", version="1", schema=SCHEMA,
        output=tmp_path / "q", values=NAMES, answers="days=days_was,heat=heat_was",
    )  # fmt: skip
    assert report.compared == "your own answers to the golden rows: days, heat"


class Quantiles(RegressorMixin, BaseEstimator):
    """Three models of one target as one that gives an interval."""

    def fit(self, frame: pd.DataFrame, target: pd.Series) -> Quantiles:
        self.models_ = [QuantileRegressor(quantile=q, alpha=0).fit(frame, target) for q in (0.1, 0.5, 0.9)]
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return np.column_stack([model.predict(frame) for model in self.models_])


def test_quantiles_are_named_values_and_the_median_is_the_value(tmp_path: Path) -> None:
    model = Quantiles().fit(FRAME, TARGETS["rent"])
    path = pack(tmp_path, model, values=["q10", "q50", "q90"], primary="q50", reference=FRAME)

    answers = stream_infer.open_package(path).predict(EVENTS[:5])

    own = model.predict(FRAME.head(5))
    np.testing.assert_allclose([list(one["values"].values()) for one in answers], own)
    np.testing.assert_allclose([one["value"] for one in answers], own[:, 1])


def test_a_value_that_differs_from_its_golden_one_is_named_by_its_row(tmp_path: Path) -> None:
    path = pack(tmp_path, LinearRegression().fit(FRAME, TARGETS), values=NAMES)
    scorer = stream_infer.open_package(path)
    rows = read_golden((path / "golden.avro").read_bytes())
    own = asdict(rows[3])["values"]
    rows[3] = replace(rows[3], values={**own, "heat": own["heat"] + 1e-3})

    report = replay_rows(scorer.model, scorer.schema, rows)

    assert report.failures == ["golden row 3 differs by 0.001"]


def test_the_reference_and_the_summary_tell_of_each_value(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME, TARGETS)
    path = pack(tmp_path, model, values=NAMES, primary="rent", reference=FRAME)

    reference = parse_reference((path / "reference.json").read_bytes())

    watched = {name for kind, name in reference.columns if kind == OUTPUT_NUMBER}
    assert watched == set(NAMES)
    assert dict(summarise_package(path).facts())["output"] == "regressor of rent, days, heat (primary: rent)"


LABELS = (TARGETS.median() < TARGETS).astype(int)


class Chances(RegressorMixin, BaseEstimator):
    """The probabilities of several labels as values, as the fix of the refusal says."""

    def __init__(self, model: Any = None) -> None:
        self.model = model

    def fit(self, frame: pd.DataFrame, labels: pd.DataFrame) -> Chances:
        self.model_ = self.model.fit(frame, labels)
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return np.column_stack([each[:, 1] for each in self.model_.predict_proba(frame)])


@pytest.mark.parametrize(
    "model",
    [
        MultiOutputClassifier(DecisionTreeClassifier(max_depth=2)),
        DecisionTreeClassifier(max_depth=2),
        OneVsRestClassifier(DecisionTreeClassifier(max_depth=2)),
    ],
)
def test_a_classifier_of_several_labels_is_refused_by_name_with_a_way_in(tmp_path: Path, model: Any) -> None:
    with pytest.raises(Misconfigured, match="3 labels a row") as caught:
        pack(tmp_path, model.fit(FRAME, LABELS), values=NAMES)

    [problem] = caught.value.problems
    assert problem.value == type(model).__name__
    assert "probabilities" in problem.fix


def test_the_probabilities_of_several_labels_are_taken_as_values(tmp_path: Path) -> None:
    model = Chances(DecisionTreeClassifier(max_depth=2)).fit(FRAME, LABELS)

    answers = stream_infer.open_package(pack(tmp_path, model, values=NAMES)).predict(EVENTS)

    np.testing.assert_allclose([list(one["values"].values()) for one in answers], model.predict(FRAME))


def test_a_package_without_a_primary_value_says_so(tmp_path: Path) -> None:
    model = LinearRegression().fit(FRAME, TARGETS)
    shape: dict[str, Any] = {"name": "flats", "version": "1", "schema": SCHEMA, "values": NAMES}

    none = stream_infer.package(model, FRAME.head(9), output=tmp_path / "a", **shape)
    one = stream_infer.package(model, FRAME.head(9), output=tmp_path / "b", primary="rent", **shape)

    assert [note for note in none.notes if "no primary value" in note]
    assert not [note for note in one.notes if "primary" in note]


def test_a_package_with_one_number_keeps_its_bytes(tmp_path: Path) -> None:
    path = pack(tmp_path, LinearRegression().fit(FRAME, TARGETS["rent"]))

    output = json.loads((path / "manifest.json").read_bytes())["output"]
    assert output.keys().isdisjoint({"values", "primary"})
    written = fastavro.reader(io.BytesIO((path / "golden.avro").read_bytes())).writer_schema
    assert isinstance(written, dict)
    assert [field["name"] for field in written["fields"]][-1] == "class_scores"
