"""A package scores events as the user's estimator scores the user's frame."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastavro
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, IsolationForest, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from tests.unit.packaging.workshop import TRIP, Row, Workshop, assert_close, column, frame_of, target, trips

NUMBERS = ["stops", "started"]
MIXED = ["distance", "stops", "night", "city", "colour", "started"]


def read_back(path: Path, events: Sequence[Row], columns: Sequence[str], **how: Any) -> pd.DataFrame:
    """Return the user's frame as pandas reads it from a CSV file."""
    frame_of(events, columns).to_csv(path, index=False)
    return pd.read_csv(path, **how)


def mixed_columns() -> ColumnTransformer:
    return make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "stops", "started"]),
        (OneHotEncoder(handle_unknown="ignore"), ["city", "colour", "night"]),
    )


def test_a_classifier_on_numbers_predicts_as_on_the_users_matrix(workshop: Workshop) -> None:
    events = trips()
    matrix = frame_of(events, ["stops", "night"]).to_numpy(dtype=float)
    model = LogisticRegression().fit(matrix, target(events))

    report = workshop.create(model, frame_of(events[:40], ["stops", "night"]))

    answers = workshop.answers(events)
    assert report.max_abs_difference <= 1e-12
    assert column(answers, "label") == [str(one) for one in model.predict(matrix)]
    assert_close(column(answers, "score"), model.predict_proba(matrix)[:, 1])


def test_a_pipeline_predicts_as_on_the_users_csv_with_null_text_and_unseen_categories(
    workshop: Workshop,
) -> None:
    events = trips()
    frame = read_back(workshop.folder / "train.csv", events, MIXED)
    model = make_pipeline(mixed_columns(), LogisticRegression()).fit(frame, target(events))
    seen = [{**event, "city": "Ulm"} if index % 5 == 0 else event for index, event in enumerate(events)]
    theirs = read_back(workshop.folder / "seen.csv", seen, MIXED)
    assert theirs["city"].isna().any()

    workshop.create(model, workshop.folder / "seen.csv", reference=workshop.folder / "train.csv")

    answers = workshop.answers(seen)
    assert column(answers, "label") == [str(one) for one in model.predict(theirs)]
    assert_close(column(answers, "score"), model.predict_proba(theirs)[:, 1])


def test_nulls_are_accepted_when_only_the_reference_has_them(workshop: Workshop) -> None:
    events = trips()
    frame = read_back(workshop.folder / "train.csv", events, MIXED)
    model = make_pipeline(mixed_columns(), LogisticRegression()).fit(frame, target(events))
    full = frame.dropna()
    assert not full.isna().any().any()

    workshop.create(model, full, reference=workshop.folder / "train.csv")

    assert_close(column(workshop.answers(events), "score"), model.predict_proba(frame)[:, 1])


def test_a_null_is_rejected_when_no_sample_has_one(workshop: Workshop) -> None:
    events = trips()
    frame = frame_of(events, MIXED)
    model = make_pipeline(mixed_columns(), LogisticRegression()).fit(frame, target(events))
    workshop.create(model, frame.dropna())

    [answer] = workshop.answers([{**events[0], "distance": None}])

    error = answer["error"]
    assert (error["stage"], error["class"]) == ("validate", "missing")
    assert "'distance'" in error["message"]


def test_a_null_that_the_model_knows_as_a_category_is_accepted_without_one_in_the_sample(
    workshop: Workshop,
) -> None:
    events = trips()
    frame = frame_of(events, MIXED)
    model = make_pipeline(mixed_columns(), LogisticRegression()).fit(frame, target(events))
    unknown = frame.dropna(subset="distance")
    nulls = pd.Series([None] * len(unknown), unknown.index, frame["city"].dtype)
    unknown = unknown.assign(city=nulls)

    workshop.create(model, frame.dropna())

    answers = workshop.answers([{**events[row], "city": None} for row in unknown.index])
    assert_close(column(answers, "score"), model.predict_proba(unknown)[:, 1])


def test_a_regressor_predicts_values(workshop: Workshop) -> None:
    events = trips()
    frame = frame_of(events, NUMBERS)
    model = GradientBoostingRegressor(n_estimators=5, random_state=0).fit(frame, target(events) * 2.5)

    workshop.create(model, frame)

    answers = workshop.answers(events)
    assert_close(column(answers, "value"), model.predict(frame))
    assert {(answer["label"], answer["score"]) for answer in answers} == {(None, None)}


def test_a_multiclass_model_predicts_the_label_and_its_probability(workshop: Workshop) -> None:
    events = trips()
    frame = frame_of(events, ["stops", "night"])
    names = np.array(["low", "mid", "top"])[[event["stops"] // 2 for event in events]]
    model = RandomForestClassifier(n_estimators=5, random_state=0).fit(frame, names)

    workshop.create(model, frame, class_scores=True)

    answers = workshop.answers(events)
    assert column(answers, "label") == model.predict(frame).tolist()
    assert_close(column(answers, "score"), model.predict_proba(frame).max(axis=1))
    assert_close([list(answer["class_scores"].values()) for answer in answers], model.predict_proba(frame))
    assert list(answers[0]["class_scores"]) == ["low", "mid", "top"]


def test_an_outlier_detector_predicts_with_its_decision_function(workshop: Workshop) -> None:
    events = trips()
    frame = frame_of(events, NUMBERS)
    model = IsolationForest(n_estimators=10, random_state=0).fit(frame)

    workshop.create(model, frame)

    answers = workshop.answers(events)
    assert column(answers, "label") == [str(one) for one in model.predict(frame)]
    assert_close(column(answers, "score"), model.decision_function(frame))


def test_a_classifier_without_probabilities_predicts_with_its_decision_function(workshop: Workshop) -> None:
    events = trips()
    frame = frame_of(events, ["stops", "night"])
    model = make_pipeline(StandardScaler(), SVC()).fit(frame, target(events))

    workshop.create(model, frame)

    answers = workshop.answers(events)
    assert column(answers, "label") == [str(one) for one in model.predict(frame)]
    assert_close(column(answers, "score"), model.decision_function(frame))


def test_a_function_of_the_users_module_is_part_of_the_package(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = workshop.folder / "src"
    modules.mkdir()
    (modules / "own_features.py").write_text("def halve(frame):\n    return frame / 2\n")
    events = trips()
    frame = frame_of(events, NUMBERS)
    with monkeypatch.context() as training:
        training.syspath_prepend(modules)
        import own_features  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

        model = make_pipeline(FunctionTransformer(own_features.halve), LinearRegression())
        model.fit(frame, target(events))
        path = workshop.folder / "model.joblib"
        joblib.dump(model, path)
        expected = model.predict(frame)
        del sys.modules["own_features"]  # not with monkeypatch, which would restore it

    workshop.create(path, frame, code=modules)

    assert_close(column(workshop.answers(events), "value"), expected)
    assert "own_features" not in sys.modules
    assert (workshop.package / "code" / "own_features.py").read_bytes() == (
        modules / "own_features.py"
    ).read_bytes()


def test_a_timestamp_that_the_user_parsed_from_text_reaches_the_model_as_a_datetime(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = trips()
    text = frame_of(events, ["stops", "started"])
    text["started"] = pd.to_datetime(text["started"], unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%S.%f")
    path = workshop.csv("golden.csv", text)
    frame = pd.read_csv(path, parse_dates=["started"])
    assert frame["started"].dtype.kind == "M"
    modules = workshop.folder / "src"
    modules.mkdir()
    (modules / "own_hours.py").write_text(
        "def hour_of(frame):\n    return frame.assign(started=frame['started'].dt.hour)\n"
    )
    monkeypatch.syspath_prepend(modules)
    import own_hours  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

    model = make_pipeline(FunctionTransformer(own_hours.hour_of), LinearRegression())
    model.fit(frame, target(events))

    try:
        report = workshop.create(model, path, code=modules)
    finally:
        del sys.modules["own_hours"]

    assert any("'started' is read as dates" in note for note in report.notes)
    assert_close(column(workshop.answers(events), "value"), model.predict(frame))


def test_columns_are_mapped_to_fields_of_other_names_even_nested_ones(workshop: Workshop) -> None:
    events = trips()
    frame = pd.DataFrame(
        {
            "Number of stops": [event["stops"] for event in events],
            "age=years": [event["driver"]["age"] for event in events],
        }
    )
    model = LinearRegression().fit(frame, target(events))

    workshop.create(model, frame, columns=("Number of stops=stops", "age=years=driver.age"))

    assert_close(column(workshop.answers(events), "value"), model.predict(frame))


def test_columns_that_are_not_features_are_excluded_by_name(workshop: Workshop) -> None:
    events = trips()
    frame = frame_of(events, ["trip_id", "stops", "night"])
    matrix = frame[["night", "stops"]].to_numpy(dtype=float)
    model = LinearRegression().fit(matrix, target(events))

    workshop.create(model, frame, features=("night", "stops"))

    assert_close(column(workshop.answers(events), "value"), model.predict(matrix))


def test_whole_numbers_with_nulls_are_floats_to_the_model_as_in_a_csv(workshop: Workshop) -> None:
    events = trips()
    ages = [None if index % 4 == 0 else event["driver"]["age"] for index, event in enumerate(events)]
    frame = pd.DataFrame({"age": ages, "stops": [event["stops"] for event in events]})
    model = make_pipeline(SimpleImputer(), LinearRegression()).fit(frame, target(events))

    workshop.create(model, frame, columns=("age=driver.age",))

    sent = [{**event, "driver": None} if index % 4 == 0 else event for index, event in enumerate(events)]
    assert_close(column(workshop.answers(sent), "value"), model.predict(frame))


def test_an_imputed_value_reaches_the_model_in_place_of_a_null(workshop: Workshop) -> None:
    events = trips()
    frame = frame_of(events, ["distance", "stops"])
    model = LinearRegression().fit(frame.fillna(4.5), target(events))

    workshop.create(model, frame, missing=("distance=impute:4.5",))

    assert_close(column(workshop.answers(events), "value"), model.predict(frame.fillna(4.5)))


def test_golden_rows_that_a_policy_rejects_are_left_out_and_counted(workshop: Workshop) -> None:
    events = trips(60)
    frame = frame_of(events, ["distance", "stops"])
    empty = int(frame["distance"].isna().sum())
    model = LinearRegression().fit(frame.dropna(), target(events)[frame["distance"].notna()])

    report = workshop.create(model, frame, missing=("distance=reject",))

    assert report.rows == len(frame) - empty
    assert any(note.startswith(f"{empty} golden rows are left out") for note in report.notes)


@pytest.mark.parametrize("form", ["parquet", "avro"])
def test_golden_rows_come_from_parquet_and_avro_too(workshop: Workshop, form: str) -> None:
    events = trips()
    frame = frame_of(events, ["distance", "stops", "city"])
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder=SimpleImputer())
    model = make_pipeline(encoder, LinearRegression()).fit(frame, target(events))
    path = workshop.folder / f"golden.{form}"
    if form == "parquet":
        frame.to_parquet(path)
    else:
        with path.open("wb") as file:
            fastavro.writer(file, TRIP, events)

    workshop.create(model, path)

    assert_close(column(workshop.answers(events), "value"), model.predict(frame))


def test_a_threshold_decides_the_label_of_two_classes(workshop: Workshop) -> None:
    events = trips()
    frame = frame_of(events, ["stops", "night"])
    model = LogisticRegression().fit(frame, target(events))

    workshop.create(model, frame, threshold=0.25)

    expected = np.where(model.predict_proba(frame)[:, 1] >= 0.25, "1", "0").tolist()
    assert column(workshop.answers(events), "label") == expected
    assert expected != [str(one) for one in model.predict(frame)]


@pytest.mark.parametrize("form", ["package", "package.zip"])
def test_the_same_files_give_the_same_package_byte_for_byte(workshop: Workshop, form: str) -> None:
    events = trips()
    frame = read_back(workshop.folder / "train.csv", events, MIXED)
    model = make_pipeline(mixed_columns(), LogisticRegression()).fit(frame, target(events))
    options = {"reference": workshop.folder / "train.csv"}

    first, second = workshop.folder / "a" / form, workshop.folder / "b" / form
    digests = {workshop.create(model, frame, output=path, **options).digest for path in (first, second)}

    assert len(digests) == 1
    assert contents(first) == contents(second)
    # The package holds the user's files unchanged.
    if first.is_dir():
        assert (first / "model.joblib").read_bytes() == (workshop.folder / "model.joblib").read_bytes()
        assert (first / "input.avsc").read_bytes() == (workshop.folder / "event.avsc").read_bytes()


def contents(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}
