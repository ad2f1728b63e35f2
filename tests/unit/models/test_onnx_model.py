"""The choice between graph and scikit-learn for a batch, and refusals of a graph that cannot be opened."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)

from stream_infer.flow.errors import Refused
from stream_infer.models.converted import ConvertedModel
from stream_infer.models.load import load_model
from stream_infer.models.onnx_model import open_onnx
from stream_infer.models.package import verify, write_package
from stream_infer.models.predict import contract_of
from tests.unit.models.builders import CONVERTED, files, framed, graph_of, manifest, pickled

ROWS = np.random.default_rng(5).normal(size=(60, 2))
TWO = ROWS.sum(axis=1) > 0
KINDS = {"a": "double", "b": "double"}


class CallRecorder:
    """An estimator that records the rows of each call."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.rows: list[int] = []

    def predict_proba(self, given: Any) -> Any:
        self.rows.append(given.shape[0])
        return self._model.predict_proba(given)


def converted_from(model: Any, up_to_rows: int = 1_000) -> tuple[ConvertedModel, CallRecorder]:
    own = CallRecorder(model)
    return ConvertedModel(None, own, open_onnx(graph_of(model), model), up_to_rows), own


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(3, random_state=0).fit(ROWS, TWO)


def test_the_graph_scores_plain_numbers() -> None:
    model, own = converted_from(forest())

    for given in (ROWS, ROWS[:1], np.asfortranarray(ROWS), pd.DataFrame(ROWS), ROWS[::2]):
        model.predict_proba(given)

    assert own.rows == []


def test_scikit_learn_scores_larger_batches() -> None:
    model, own = converted_from(forest(), up_to_rows=2)

    model.predict_proba(ROWS[:2])
    model.predict_proba(ROWS[:3])

    assert own.rows == [3]


def test_the_graph_scores_nan_where_scikit_learn_accepts_it() -> None:
    given = np.array([[np.nan, 0.5], [0.1, 0.2]])
    takes, accepting = converted_from(HistGradientBoostingClassifier(max_iter=2).fit(ROWS, TWO))
    raises, original = converted_from(GradientBoostingClassifier(n_estimators=2).fit(ROWS, TWO))

    takes.predict_proba(given)
    with pytest.raises(ValueError, match="NaN"):
        raises.predict_proba(given)

    assert (accepting.rows, original.rows) == ([], [2])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # scikit-learn's
@pytest.mark.parametrize("far", [np.inf, -np.inf, 1e39], ids=str)
def test_infinite_and_overflowing_values_raise_as_in_scikit_learn(far: float) -> None:
    model, own = converted_from(forest())

    with pytest.raises(ValueError, match="infinity or a value too large"):
        model.predict_proba(np.array([[far, 0.0]]))

    assert own.rows == [1]


def test_scikit_learn_scores_whatever_is_not_a_matrix_of_numbers() -> None:
    model, own = converted_from(forest())

    model.predict_proba(csr_matrix(ROWS))
    with pytest.raises(ValueError, match="convert string to float"):
        model.predict_proba(pd.DataFrame({0: ["x"], 1: ["y"]}))
    with pytest.raises(ValueError, match="0 sample"):
        model.predict_proba(ROWS[:0])

    assert own.rows == [60, 1, 0]


def test_large_integers_are_rounded_once_as_in_scikit_learn() -> None:
    # One above the midpoint of two floats: rounding to double first would round the other way.
    wide = 2**60 + 2**36 + 1
    given = np.array([[wide, 0], [wide - 2, 0], [2**60, 0], [0, 0]], dtype=np.int64)
    model = RandomForestClassifier(3, random_state=0, bootstrap=False).fit(given, [1, 0, 0, 0])
    converted, own = converted_from(model)

    assert np.array_equal(converted.predict_proba(given), model.predict_proba(given))
    assert own.rows == []


def test_bytes_that_are_not_a_graph_are_refused() -> None:
    for data in (b"", b"no graph", graph_of(forest())[:-40]):
        with pytest.raises(Refused) as refused:
            open_onnx(data, forest())

        assert refused.value.code == "load"


def converted_package(path: Path) -> Path:
    model = forest()
    write_package(
        path,
        manifest(
            **framed(ROWS, KINDS),
            **CONVERTED,
            output=contract_of(model, ROWS),
        ),
        files(pickled(model), **{"model.onnx": graph_of(model)}),
    )
    return path


def test_a_converted_model_is_loaded_with_graph_and_original(tmp_path: Path) -> None:
    model = load_model(verify(converted_package(tmp_path / "package")))

    first, second = (form.estimator for form in model.forms())
    assert isinstance(model.estimator, ConvertedModel)
    assert model.estimator.up_to_rows == 10
    assert isinstance(first, RandomForestClassifier)
    assert isinstance(second, ConvertedModel)
    assert second.up_to_rows > 10**9
    assert all(form.forms() == (form,) for form in model.forms())


def test_a_converted_model_without_onnx_runtime_is_refused_with_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed

    with pytest.raises(Refused, match=r"pip install 'stream-infer-worker\[onnx\]'") as refused:
        load_model(verify(converted_package(tmp_path / "package")))

    assert refused.value.code == "runtime"
