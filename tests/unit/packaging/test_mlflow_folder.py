"""Model folders in the layout of MLflow 3.17, as its `save_model` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from skl2onnx import to_onnx
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from typer.testing import CliRunner
from xgboost import XGBRegressor

from stream_infer.cli.main import app
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.create import create_package
from stream_infer.packaging.mlflow_folder import from_mlflow
from stream_infer.packaging.options import CreateOptions
from tests.unit.packaging.workshop import Workshop, assert_close, column

RNG = np.random.default_rng(3)
FRAME = pd.DataFrame({"amount": RNG.normal(size=100), "visits": RNG.integers(0, 9, 100)})
SUM = FRAME["amount"] * 2 + FRAME["visits"]
EVENT = {
    "type": "record",
    "name": "Visit",
    "fields": [{"name": "amount", "type": "double"}, {"name": "visits", "type": "long"}],
}
SIGNATURE = json.dumps(
    [{"type": "double", "name": "amount", "required": True}, {"type": "long", "name": "visits"}]
)
TENSOR = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}])


def sklearn(folder: Path) -> tuple[str, dict[str, Any], Any]:
    model = LinearRegression().fit(FRAME, SUM)
    joblib.dump(model, folder / "model.pkl")
    return "sklearn", {"pickled_model": "model.pkl", "code": None}, model.predict(FRAME)


def xgboost(folder: Path) -> tuple[str, dict[str, Any], Any]:
    model = XGBRegressor(n_estimators=3).fit(FRAME, SUM)
    model.save_model(folder / "model.ubj")
    return (
        "xgboost",
        {"data": "model.ubj", "model_class": "xgboost.sklearn.XGBRegressor"},
        model.predict(FRAME),
    )


def onnx(folder: Path) -> tuple[str, dict[str, Any], Any]:
    matrix = FRAME.to_numpy(dtype=np.float32)
    model = RandomForestRegressor(4, random_state=0).fit(matrix, SUM)
    (folder / "model.onnx").write_bytes(to_onnx(model, matrix[:1]).SerializeToString())
    return "onnx", {"data": "model.onnx"}, model.predict(matrix)


def saved(folder: Path, make: Any = sklearn, *, signature: str = SIGNATURE, example: Any = None) -> Any:
    """Write a folder, and return the answers of the model's maker."""
    folder.mkdir()
    name, flavour, expected = make(folder)
    described = {
        "flavors": {"python_function": {"loader_module": f"mlflow.{name}"}, name: flavour},
        "mlflow_version": "3.17.2",
        "signature": {"inputs": signature, "outputs": None, "params": None},
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    split = FRAME.head(5).to_dict("split", index=False)
    (folder / "input_example.json").write_text(json.dumps(split if example is None else example))
    (folder / "requirements.txt").write_text("mlflow==3.17.2\nscikit-learn==0.1\nabsent-library==1.0\n")
    return expected


def options(workshop: Workshop, **more: Any) -> CreateOptions:
    path = workshop.file("event.avsc", json.dumps(EVENT))
    given = {"model": None, "golden": None, "name": "visits", "version": "1", "schema": path, **more}
    return CreateOptions(**given, output=workshop.package)


def problem(source: str, asked: CreateOptions) -> Problem:
    with pytest.raises(Misconfigured) as raised:
        from_mlflow(source, asked)
    [found] = raised.value.problems
    assert found.fix
    return found


@pytest.mark.parametrize("make", [sklearn, xgboost, onnx])
def test_a_folder_is_packaged_with_its_model_and_its_example(workshop: Workshop, make: Any) -> None:
    folder = workshop.folder / "logged"
    expected = saved(folder, make)

    report = create_package(from_mlflow(f"mlflow:{folder}", options(workshop)))

    assert report.rows == 5
    found = column(workshop.answers(FRAME.to_dict("records")), "value")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert "the folder asks for absent-library 1.0; here is none" in report.notes
    assert not [note for note in report.notes if "mlflow" in note]


@pytest.mark.parametrize(
    "example",
    [
        {"dataframe_split": FRAME.head(5).to_dict("split", index=False)},
        {"inputs": FRAME.head(5).to_numpy().tolist()},
        {"data": FRAME.head(5).to_numpy().tolist()},
    ],
    ids=["serving", "tensor", "without names"],
)
def test_an_example_has_names_and_types_of_the_signature(workshop: Workshop, example: Any) -> None:
    folder = workshop.folder / "logged"
    saved(folder, example=example)

    golden = from_mlflow(f"mlflow:{folder}", options(workshop)).golden

    pd.testing.assert_frame_equal(golden, FRAME.head(5))


def test_a_sample_that_is_given_replaces_the_example(workshop: Workshop) -> None:
    folder = workshop.folder / "logged"
    expected = saved(folder)
    golden = workshop.csv("golden.csv", FRAME.head(30))

    report = create_package(from_mlflow(f"mlflow:{folder}", options(workshop, golden=golden)))

    assert report.rows == 30
    assert_close(column(workshop.answers(FRAME.to_dict("records")), "value"), expected)


def test_an_array_of_a_signature_of_tensors_needs_names(workshop: Workshop) -> None:
    folder = workshop.folder / "logged"
    saved(folder, signature=TENSOR, example={"inputs": FRAME.head(5).to_numpy().tolist()})

    golden = from_mlflow(f"mlflow:{folder}", options(workshop)).golden

    assert isinstance(golden, pd.DataFrame)
    assert list(golden) == ["0", "1"]


def test_a_folder_that_cannot_be_taken_is_named_with_a_way_on(workshop: Workshop) -> None:
    asked, folder = options(workshop), workshop.folder / "logged"
    assert "is not mlflow:FOLDER" in problem("models:/visits/1", asked).message
    assert "has no readable file MLmodel" in problem(f"mlflow:{folder}", asked).message
    saved(folder)
    described = yaml.safe_load((folder / "MLmodel").read_text())
    del described["flavors"]["sklearn"]
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    assert "has the flavours python_function, and none of" in problem(f"mlflow:{folder}", asked).message
    (folder / "MLmodel").write_text("a: [")
    assert "MLmodel is not YAML" in problem(f"mlflow:{folder}", asked).message


def test_a_folder_without_an_example_needs_a_sample(workshop: Workshop) -> None:
    folder = workshop.folder / "logged"
    saved(folder)
    described = yaml.safe_load((folder / "MLmodel").read_text())
    del described["saved_input_example_info"]
    (folder / "MLmodel").write_text(yaml.safe_dump(described))

    found = problem(f"mlflow:{folder}", options(workshop))

    assert found.key == "--golden"
    assert "--golden" in found.fix


def test_model_and_sample_are_required_on_the_command_line_without_a_folder(workshop: Workshop) -> None:
    folder = workshop.folder / "logged"
    saved(folder)
    options(workshop)
    arguments = ["package", "create", "--name", "visits", "--version", "1"]
    arguments += ["--schema", str(workshop.folder / "event.avsc"), "-o", str(workshop.package)]

    neither = CliRunner().invoke(app, arguments)
    both = CliRunner().invoke(app, [*arguments, "model.joblib", "--from", f"mlflow:{folder}"])
    taken = CliRunner().invoke(app, [*arguments, "--from", f"mlflow:{folder}"])

    assert isinstance(neither.exception, Misconfigured)
    assert [one.key for one in neither.exception.problems] == ["MODEL", "--golden"]
    assert isinstance(both.exception, Misconfigured)
    assert taken.exit_code == 0
    assert workshop.package.is_dir()
