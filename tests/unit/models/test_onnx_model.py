"""Who answers a batch, the graph or scikit-learn's own; and what is said when the graph cannot be opened."""

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


class Asked:
    """A model that says so when it is asked."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.rows: list[int] = []

    def predict_proba(self, given: Any) -> Any:
        self.rows.append(given.shape[0])
        return self._model.predict_proba(given)


def beside(model: Any, up_to_rows: int = 1_000) -> tuple[ConvertedModel, Asked]:
    own = Asked(model)
    return ConvertedModel(None, own, open_onnx(graph_of(model), model), up_to_rows), own


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(3, random_state=0).fit(ROWS, TWO)


def test_plain_numbers_are_the_graph_s() -> None:
    model, own = beside(forest())

    for given in (ROWS, ROWS[:1], np.asfortranarray(ROWS), pd.DataFrame(ROWS), ROWS[::2]):
        model.predict_proba(given)

    assert own.rows == []


def test_a_larger_batch_is_scikit_learn_s() -> None:
    model, own = beside(forest(), up_to_rows=2)

    model.predict_proba(ROWS[:2])
    model.predict_proba(ROWS[:3])

    assert own.rows == [3]


def test_nan_is_the_graph_s_where_scikit_learn_takes_it() -> None:
    given = np.array([[np.nan, 0.5], [0.1, 0.2]])
    takes, asked_seldom = beside(HistGradientBoostingClassifier(max_iter=2).fit(ROWS, TWO))
    raises, asked = beside(GradientBoostingClassifier(n_estimators=2).fit(ROWS, TWO))

    takes.predict_proba(given)
    with pytest.raises(ValueError, match="NaN"):
        raises.predict_proba(given)

    assert (asked_seldom.rows, asked.rows) == ([], [2])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # scikit-learn's
@pytest.mark.parametrize("far", [np.inf, -np.inf, 1e39], ids=str)
def test_what_is_infinite_or_becomes_so_is_refused_as_before(far: float) -> None:
    model, own = beside(forest())

    with pytest.raises(ValueError, match="infinity or a value too large"):
        model.predict_proba(np.array([[far, 0.0]]))

    assert own.rows == [1]


def test_what_is_no_matrix_of_numbers_is_scikit_learn_s() -> None:
    model, own = beside(forest())

    model.predict_proba(csr_matrix(ROWS))
    with pytest.raises(ValueError, match="convert string to float"):
        model.predict_proba(pd.DataFrame({0: ["x"], 1: ["y"]}))
    with pytest.raises(ValueError, match="0 sample"):
        model.predict_proba(ROWS[:0])

    assert own.rows == [60, 1, 0]


def test_large_whole_numbers_are_rounded_once_as_scikit_learn_does() -> None:
    # Halfway between two floats but for one: rounded to a double first, it would go the other way.
    wide = 2**60 + 2**36 + 1
    given = np.array([[wide, 0], [wide - 2, 0], [2**60, 0], [0, 0]], dtype=np.int64)
    model = RandomForestClassifier(3, random_state=0, bootstrap=False).fit(given, [1, 0, 0, 0])
    converted, own = beside(model)

    assert np.array_equal(converted.predict_proba(given), model.predict_proba(given))
    assert own.rows == []


def test_bytes_that_are_no_graph_are_refused() -> None:
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


def test_a_converted_model_is_loaded_with_all_its_forms(tmp_path: Path) -> None:
    model = load_model(verify(converted_package(tmp_path / "package")))

    first, second = (form.estimator for form in model.forms())
    assert isinstance(model.estimator, ConvertedModel)
    assert model.estimator.up_to_rows == 10
    assert isinstance(first, RandomForestClassifier)
    assert isinstance(second, ConvertedModel)
    assert second.up_to_rows > 10**9
    assert all(form.forms() == (form,) for form in model.forms())


def test_without_its_library_a_converted_model_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as if it were not installed

    with pytest.raises(Refused, match=r"pip install 'stream-infer-worker\[onnx\]'") as refused:
        load_model(verify(converted_package(tmp_path / "package")))

    assert refused.value.code == "runtime"
