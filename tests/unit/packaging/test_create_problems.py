"""Problems of the inputs are reported at once, each with its fix, and no file is left."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.packaging.create import create_package
from tests.support.rehearsals import unrehearsed
from tests.unit.packaging.workshop import Workshop, frame_of, target, trips

EVENTS = trips(30)


def linear(frame: pd.DataFrame) -> LinearRegression:
    return LinearRegression().fit(frame, target(EVENTS))


def problems(workshop: Workshop, model: Any, golden: Any, **more: Any) -> tuple[Problem, ...]:
    """Return the problems that `create_package` reports, and check that it wrote no package."""
    with pytest.raises(Misconfigured) as caught:
        workshop.create(model, golden, **more)
    assert not workshop.package.exists() or more.get("output") == workshop.folder
    assert all(problem.key and problem.message and problem.fix for problem in caught.value.problems)
    return caught.value.problems


def test_a_column_without_a_field_is_reported_with_candidate_fields(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops", "night"]).rename(columns={"stops": "stop"})

    [problem] = problems(workshop, linear(frame), frame)

    assert "column 'stop' has no field 'stop'" in problem.message
    assert "--map 'stop=FIELD' with one of: stops" in problem.fix


def test_every_field_of_a_change_event_that_a_column_may_mean_is_offered(workshop: Workshop) -> None:
    row = {"type": "record", "name": "Row", "fields": [{"name": "stops", "type": "int"}]}
    fields = [{"name": "before", "type": ["null", row]}, {"name": "after", "type": ["null", "Row"]}]
    frame = frame_of(EVENTS, ["stops"])

    [problem] = problems(
        workshop, linear(frame), frame, schema={"type": "record", "name": "Change", "fields": fields}
    )

    assert "2 nested ones have its name: which one is the model's?" in problem.message
    assert problem.fix.endswith("one of: before.stops, after.stops")


def test_an_array_field_as_a_feature_is_reported_with_its_type(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops"]).assign(tags=1.0)

    [problem] = problems(workshop, linear(frame), frame)

    assert "field 'tags', which is an array" in problem.message


@pytest.mark.parametrize("text", ["stops", "=stops", "stops=", "stops>night"])
def test_an_invalid_map_option_is_reported_with_the_valid_form(workshop: Workshop, text: str) -> None:
    frame = frame_of(EVENTS, ["stops"])

    [problem] = problems(workshop, linear(frame), frame, columns=(text,))

    assert (problem.key, problem.value) == ("--map", text)
    assert "COLUMN=FIELD" in problem.fix


def test_a_map_of_an_unknown_column_is_reported(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops"])

    [problem] = problems(workshop, linear(frame), frame, columns=("stps=stops",))

    assert "there is no column of the model 'stps'" in problem.message


def test_each_missing_column_of_a_golden_file_is_reported(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops", "night", "started"])

    found = problems(workshop, linear(frame), frame[["stops"]])

    assert [problem.key for problem in found] == ["--golden", "--golden"]
    assert ["'night'" in found[0].message, "'started'" in found[1].message] == [True, True]


def test_a_wrong_number_of_columns_is_reported_with_both_numbers(
    workshop: Workshop,
) -> None:
    frame = frame_of(EVENTS, ["stops", "night", "started"])
    model = linear(frame[["stops", "night"]].to_numpy(dtype=float))

    [problem] = problems(workshop, model, frame)

    assert "takes 2 features and there are 3 columns" in problem.message
    assert "--features a,b,c" in problem.fix


def test_text_for_a_model_of_numbers_is_reported(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["trip_id", "stops"])
    model = LinearRegression().fit(np.ones((30, 2)), target(EVENTS))

    [problem] = problems(workshop, model, frame)

    assert "fitted without column names, on numbers" in problem.message


@pytest.mark.parametrize("data", [b"\x80\x04", pickle.dumps([1])[:-2]])
def test_a_pickle_that_is_not_whole_is_reported_without_a_traceback(workshop: Workshop, data: bytes) -> None:
    path = workshop.folder / "model.bin"
    path.write_bytes(data)

    [problem] = problems(workshop, path, frame_of(EVENTS, ["stops"]))

    assert problem.key == "MODEL"
    assert "is not a complete joblib or pickle file" in problem.message


def test_a_pickle_of_another_object_is_reported_with_its_type(workshop: Workshop) -> None:
    [problem] = problems(workshop, {"weights": [1, 2]}, frame_of(EVENTS, ["stops"]))

    assert "holds a dict, which has no predict" in problem.message


def test_a_model_that_needs_a_module_of_the_user_is_reported_with_the_option_code(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = workshop.folder / "src"
    modules.mkdir()
    (modules / "own_steps.py").write_text("def same(frame):\n    return frame\n")
    frame = frame_of(EVENTS, ["stops"])
    path = workshop.folder / "model.joblib"
    with monkeypatch.context() as training:
        training.syspath_prepend(modules)
        import own_steps  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

        joblib.dump(make_pipeline(FunctionTransformer(own_steps.same), linear(frame)), path)
        del sys.modules["own_steps"]  # not with monkeypatch, which would restore it

    [problem] = problems(workshop, path, frame)

    assert "needs a module" in problem.message
    assert "--code" in problem.fix


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{'type': 'record'}", "not JSON"),
        ('"string"', "record"),
        ('{"type": "record", "name": "E"}', "fields"),
    ],
)
def test_an_invalid_schema_is_reported_with_the_reason(workshop: Workshop, text: str, what: str) -> None:
    frame = frame_of(EVENTS, ["stops"])

    [problem] = problems(workshop, linear(frame), frame, schema=workshop.file("event.avsc", text))

    assert problem.key == "--schema"
    assert what in problem.message


def test_all_problems_are_reported_at_once(workshop: Workshop) -> None:
    absent = workshop.folder / "absent"
    found = problems(
        workshop,
        absent,
        absent.with_suffix(".csv"),
        schema=absent,
        output=workshop.folder,
        code=absent,
        reference=absent.with_suffix(".txt"),
        columns=("x",),
        missing=("a=perhaps", "a=pass", "a=reject"),
        nan=("b=impute:",),
    )

    keys = [problem.key for problem in found]
    assert keys == [
        "--output", "MODEL", "--code", "--schema", "--map", "--golden", "--reference", "--missing",
        "--missing", "--nan",
    ]  # fmt: skip


def test_a_policy_of_an_unknown_feature_and_a_value_of_the_wrong_type_are_reported(
    workshop: Workshop,
) -> None:
    frame = frame_of(EVENTS, ["stops", "night"])

    [unknown] = problems(workshop, linear(frame), frame, missing=("nights=pass",))
    [mistyped] = problems(workshop, linear(frame), frame, missing=("stops=impute:many",))

    assert "there is no feature 'nights'" in unknown.message
    assert "'many' is no value of field 'stops', which is int" in mistyped.message


def test_one_feature_is_imputed_with_one_value(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["distance"])

    [problem] = problems(
        workshop,
        linear(frame.fillna(0)),
        frame,
        missing=("distance=impute:1",),
        nan=("distance=impute:2",),
    )

    assert "imputed with different values" in problem.message


@pytest.mark.parametrize("threshold", [0.5, float("nan")])
def test_a_threshold_and_class_scores_need_a_model_that_has_them(
    workshop: Workshop, threshold: float
) -> None:
    frame = frame_of(EVENTS, ["stops", "night"])

    found = problems(workshop, linear(frame), frame, threshold=threshold, class_scores=True)

    assert [problem.key for problem in found] == ["--threshold", "--class-scores"]


@pytest.mark.parametrize(("option", "value"), [("name", "a b"), ("version", "../1")])
def test_an_invalid_package_name_is_reported(workshop: Workshop, option: str, value: str) -> None:
    frame = frame_of(EVENTS, ["stops"])
    options = workshop.options(linear(frame), frame)

    with pytest.raises(Misconfigured) as caught:
        create_package(replace(options, **{option: value}), unrehearsed)

    [problem] = caught.value.problems
    assert (problem.key, problem.value) == (f"--{option}", value)
    assert left(workshop) == {"model.joblib", "event.avsc", "golden.csv"}


def test_an_exception_of_the_model_on_the_sample_is_reported(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["distance", "stops"])
    model = linear(frame.fillna(0))

    [problem] = problems(workshop, model, frame)

    assert "ValueError: Input X contains NaN" in problem.message


def test_values_that_a_field_cannot_carry_are_reported_with_column_field_and_type(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops", "night"])
    wrong = frame.assign(stops=frame["stops"] + 0.5, night=2)

    found = problems(workshop, linear(wrong), wrong)

    assert (
        "'stops' (float64) does not fit field 'stops' (int): a value is not a whole number"
        in found[0].message
    )
    assert "'night' (int64) does not fit field 'night' (boolean)" in found[1].message


def test_a_null_in_a_field_without_null_is_reported(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops"]).assign(stops=lambda f: f["stops"].where(f["stops"] > 1))

    [problem] = problems(
        workshop, linear(frame.fillna(0)), frame, missing=("stops=impute:0",), nan=("stops=impute:0",)
    )

    assert "it has an empty value, and the field cannot be null" in problem.message


def test_an_unknown_enum_symbol_is_reported_with_its_row(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops", "colour"])
    frame.loc[3, "colour"] = "PINK"
    model = make_pipeline(FunctionTransformer(_stops_only), LinearRegression()).fit(frame, target(EVENTS))

    [problem] = problems(workshop, model, frame)

    assert (problem.key, problem.value) == ("--golden", "row 3")
    assert "does not fit the schema test.Trip" in problem.message


def _stops_only(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["stops"]]


def test_a_field_that_rounds_is_refused_with_the_reason_and_leaves_no_file(workshop: Workshop) -> None:
    schema = {"type": "record", "name": "E", "fields": [{"name": "x", "type": "float"}]}
    frame = pd.DataFrame({"x": np.linspace(0.1, 3.3, 30)})
    model = KNeighborsRegressor(1).fit(frame, np.cumsum(np.ones(30)))
    sloped = LinearRegression().fit(frame, frame["x"] * 1e6)

    with pytest.raises(Refused) as caught:
        workshop.create(sloped, frame, schema=schema)

    assert caught.value.code == "golden"
    assert "field 'x' is a 32-bit float and rounds column 'x'" in caught.value.reason
    assert left(workshop) == {"model.joblib", "event.avsc", "golden.csv"}
    # Rounding is accepted when the model does not depend on it, or the tolerance allows it.
    assert workshop.create(model, frame, schema=schema).notes
    other = workshop.folder / "other"
    assert workshop.create(sloped, frame, schema=schema, output=other, relative_tolerance=1e-6).rows == 30


def left(workshop: Workshop) -> set[str]:
    """Return the names of all files, including hidden ones."""
    return {path.name for path in workshop.folder.iterdir()}


def test_an_existing_package_is_never_overwritten(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops"])
    workshop.create(linear(frame), frame)
    before = (workshop.package / "manifest.json").read_bytes()

    with pytest.raises(Misconfigured) as caught:
        workshop.create(linear(frame), frame)

    assert [problem.key for problem in caught.value.problems] == ["--output"]
    assert (workshop.package / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("golden.json", "[]", "its name must end in"),
        ("golden.csv", "", "cannot be read as csv"),
        ("golden.csv", "stops\n", "has no rows"),
        ("golden.csv", '"a\n', "cannot be read as csv"),
        ("golden.parquet", "x", "cannot be read as parquet"),
        ("golden.avro", "x", "cannot be read as avro"),
    ],
)
def test_an_unreadable_golden_file_is_reported_with_the_reason(
    workshop: Workshop, name: str, text: str, what: str
) -> None:
    model = linear(frame_of(EVENTS, ["stops"]))

    [problem] = problems(workshop, model, workshop.file(name, text))

    assert problem.key == "--golden"
    assert what in problem.message


def test_a_golden_file_with_too_many_rows_is_reported_with_the_option_reference(workshop: Workshop) -> None:
    frame = pd.DataFrame({"stops": np.zeros(10_001, dtype=int)})

    [problem] = problems(workshop, linear(frame_of(EVENTS, ["stops"])), frame)

    assert "has 10001 rows" in problem.message
    assert "--reference" in problem.fix


def test_a_reference_without_a_column_of_the_model_is_reported(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops", "night"])
    reference = workshop.csv("reference.csv", frame[["stops"]])

    [problem] = problems(workshop, linear(frame), frame, reference=reference)

    assert (problem.key, problem.value) == ("--reference", "night")


def test_a_classifier_trained_on_several_outputs_is_reported(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["stops", "night"])
    several = np.column_stack([target(EVENTS), 1 - target(EVENTS)])

    [problem] = problems(workshop, MultiOutputClassifier(LogisticRegression()).fit(frame, several), frame)

    assert problem.key == "MODEL"


def test_a_missing_sample_file_is_reported(workshop: Workshop) -> None:
    [problem] = problems(workshop, linear(frame_of(EVENTS, ["stops"])), Path("absent.csv"))

    assert problem.message == "there is no such file"
