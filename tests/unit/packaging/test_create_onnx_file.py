"""An ONNX file as its maker gave it, from the file to a worker's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.package import verify
from tests.unit.packaging.workshop import Workshop, column

RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(
    {"amount": RNG.normal(size=200), "age": RNG.integers(18, 80, 200), "shop": RNG.choice(list("abc"), 200)}
)
NUMBERS = FRAME[["amount", "age"]]
SUM = FRAME["amount"] + FRAME["age"] / 50
SIZE = np.where(SUM < 0.7, "small", np.where(SUM < 1.4, "middle", "big"))
EVENT = {
    "type": "record",
    "name": "Sale",
    "fields": [
        {"name": "amount", "type": "double"},
        {"name": "age", "type": "int"},
        {"name": "shop", "type": "string"},
    ],
}
EVENTS = FRAME.to_dict("records")
MATRIX = NUMBERS.to_numpy(dtype=np.float32)


def written(graph: Any, folder: Path) -> Path:
    path = folder / "model.bin"
    path.write_bytes(graph.SerializeToString())
    return path


def answers_of(path: Path, given: dict[str, Any]) -> list[Any]:
    """Return what ONNX Runtime itself answers."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(None, given)
    return found


@pytest.mark.parametrize("zipmap", [True, False], ids=["list of maps", "tensor"])
def test_a_classifier_of_one_tensor_answers_as_onnx_runtime(workshop: Workshop, *, zipmap: bool) -> None:
    model = RandomForestClassifier(10, random_state=0).fit(MATRIX, SIZE)
    path = written(to_onnx(model, MATRIX[:1], options={"zipmap": zipmap}), workshop.folder)

    workshop.create(path, NUMBERS.head(20), schema=EVENT, class_scores=True)

    label, scores = answers_of(path, {"X": MATRIX})
    answers = workshop.answers(EVENTS)
    assert column(answers, "label") == label.tolist()
    raw = np.array([list(one.values()) for one in scores] if zipmap else scores, dtype=np.float64)
    expected = raw.clip(0.0, 1.0)  # sums in single precision may be beyond
    found = [[one[name] for name in model.classes_] for one in column(answers, "class_scores")]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    manifest = verify(workshop.package).manifest
    assert (manifest.runtime, manifest.entry, manifest.runs_code) == ("onnx", "model.onnx", False)
    assert "onnxruntime" in manifest.libraries


def test_inputs_of_one_column_are_found_by_their_names(workshop: Workshop) -> None:
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["shop"]), (StandardScaler(), ["age", "amount"])),
        RandomForestRegressor(10, random_state=0),
    ).fit(FRAME, SUM)
    single = FRAME.astype({"age": np.float32, "amount": np.float32})
    path = written(to_onnx(model, single[["shop", "age", "amount"]].head(1)), workshop.folder)

    workshop.create(path, FRAME[["amount", "shop", "age"]].head(20), schema=EVENT)

    given = {name: single[[name]].to_numpy() for name in single}
    given["shop"] = FRAME[["shop"]].to_numpy(dtype=object)
    [value] = answers_of(path, given)
    found = column(workshop.answers(EVENTS), "value")
    np.testing.assert_allclose(found, value.ravel().astype(np.float64), rtol=1e-6, atol=1e-6)


def test_the_order_of_the_columns_of_one_tensor_is_given_by_name(workshop: Workshop) -> None:
    model = RandomForestRegressor(10, random_state=0).fit(MATRIX, SUM)
    path = written(to_onnx(model, MATRIX[:1]), workshop.folder)

    workshop.create(path, FRAME.head(20), schema=EVENT, features=("amount", "age"))

    [value] = answers_of(path, {"X": MATRIX})
    found = column(workshop.answers(EVENTS), "value")
    np.testing.assert_allclose(found, value.ravel().astype(np.float64), rtol=1e-6, atol=1e-6)


def test_several_outputs_are_values_with_the_names_of_the_graph(workshop: Workshop) -> None:
    two = graph([tensor("age", 1), tensor("amount", 1)], [tensor("years", 1), tensor("same", 1)])
    path = written(two, workshop.folder)

    workshop.create(path, NUMBERS.head(20), schema=EVENT, primary="same")

    found = workshop.answers(EVENTS)
    years, same = answers_of(path, {"age": MATRIX[:, 1:], "amount": MATRIX[:, :1]})
    assert [list(one) for one in column(found, "values")] == [["years", "same"]] * len(EVENTS)
    np.testing.assert_allclose([one["years"] for one in column(found, "values")], years.ravel())
    np.testing.assert_allclose(column(found, "value"), same.ravel())


GROUPED = FRAME.assign(city=RNG.choice(["x", "y"], 200), own=SUM)
GROUPED_EVENT = {**EVENT, "fields": [*EVENT["fields"], {"name": "city", "type": "string"}]}


def grouped(folder: Path) -> tuple[Path, Any]:
    """Return a graph of a table of numbers and a table of text, and what it answers."""
    numbers, texts = make_pipeline(StandardScaler()), OneHotEncoder()
    columns = make_column_transformer((numbers, [0, 1]), (texts, [2, 3]))
    wide = GROUPED[["amount", "age", "shop", "city"]]
    model = make_pipeline(columns, LinearRegression()).fit(wide.to_numpy(dtype=object), SUM)
    inputs = [("numbers", FloatTensorType([None, 2])), ("texts", StringTensorType([None, 2]))]
    path = written(to_onnx(model, initial_types=inputs), folder)
    given = {"numbers": MATRIX, "texts": GROUPED[["shop", "city"]].to_numpy(dtype=object)}
    return path, answers_of(path, given)[0].ravel()


def test_inputs_of_several_columns_take_the_features_in_their_order(workshop: Workshop) -> None:
    path, expected = grouped(workshop.folder)
    shuffled = GROUPED[["city", "age", "shop", "amount"]].head(20)
    names = ("amount", "age", "shop", "city")

    with pytest.raises(Misconfigured, match="its order is not known"):
        workshop.create(path, shuffled, schema=GROUPED_EVENT)
    workshop.create(path, shuffled, schema=GROUPED_EVENT, features=names)

    events = GROUPED[list(names)].to_dict("records")
    np.testing.assert_allclose(column(workshop.answers(events), "value"), expected, rtol=1e-5, atol=1e-6)


def graph(inputs: list[Any], outputs: list[Any]) -> Any:
    nodes = [helper.make_node("Identity", [inputs[0].name], [one.name]) for one in outputs]
    opset = [helper.make_opsetid("", 21)]
    return helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=opset, ir_version=10
    )


def tensor(name: str, *shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, ["n", *shape])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (graph([tensor("image", 3, 8, 8)], [tensor("out", 3, 8, 8)]), "input 'image' has shape"),
        (
            graph([tensor("a", 2), tensor("b", "more")], [tensor("out", 2)]),
            "of several inputs, each has its number of columns",
        ),
        (graph([tensor("a", 2)], [tensor("p", 2), tensor("q", 2)]), "the outputs are p tensor(float), q"),
        (
            graph([tensor("a", 1, kind=TensorProto.FLOAT16)], [tensor("p", 1, kind=TensorProto.FLOAT16)]),
            "input 'a' is tensor(float16)",
        ),
    ],
    ids=["image", "groups", "two tables", "half"],
)
def test_a_graph_of_another_form_is_named(workshop: Workshop, made: Any, message: str) -> None:
    assert message in problem(workshop, written(made, workshop.folder)).message


def test_a_graph_that_breaks_off_is_named(workshop: Workshop) -> None:
    path = written(graph([tensor("a", 1)], [tensor("p", 1)]), workshop.folder)
    path.write_bytes(path.read_bytes()[:-9])

    assert problem(workshop, path).message.startswith("ONNX: DecodeError")


def problem(workshop: Workshop, path: Path) -> Problem:
    with pytest.raises(Misconfigured) as raised:
        workshop.create(path, NUMBERS.head(20), schema=EVENT)
    [found] = raised.value.problems
    assert found.key == "MODEL"
    return found
