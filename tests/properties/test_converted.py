"""Whatever ensemble was fitted on whatever numbers, its graph answers as it does around every threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)

from stream_infer.models.converted import ConvertedModel
from stream_infer.models.manifest import Tolerance
from stream_infer.models.onnx_model import open_onnx
from stream_infer.models.predict import contract_of, predict
from stream_infer.packaging import ensembles, equivalence, onnx_graph

Matrix = NDArray[np.float64]

FITTED: Mapping[str, Callable[[Matrix, NDArray[np.int64]], Any]] = {
    "forest": lambda x, y: RandomForestClassifier(3, random_state=0).fit(x, y),
    "extra trees": lambda x, y: ExtraTreesRegressor(3, random_state=0).fit(x, y),
    "boosting": lambda x, y: GradientBoostingClassifier(n_estimators=3, random_state=0).fit(x, y),
    "histograms": lambda x, y: HistGradientBoostingClassifier(
        max_iter=3, min_samples_leaf=2, random_state=0
    ).fit(x, y),
    "isolation": lambda x, _y: IsolationForest(n_estimators=3, random_state=0).fit(x),
}
# Numbers near each other, so that thresholds fall between floats, and numbers of every size.
cells = st.one_of(
    st.integers(-3, 3).map(float),
    st.floats(0.0, 1.0),
    st.integers(0, 40).map(lambda step: 1.0 + step * 2.0**-26),
    st.floats(-1e30, 1e30),
    st.floats(-1e-30, 1e-30),
)
matrices = st.integers(8, 24).flatmap(
    lambda rows: st.lists(st.lists(cells, min_size=2, max_size=2), min_size=rows, max_size=rows)
)


def around(splits: list[NDArray[np.float64]]) -> Matrix:
    """Return every pair of a threshold, or a neighbour of one, of the first feature and of the second."""
    columns = []
    for values in splits:
        single = values.astype(np.float32)
        beside = [np.nextafter(one, to) for one in (values, single) for to in (-np.inf, np.inf)]
        columns.append(np.unique(np.concatenate([[0.0], values, single, *beside]).astype(np.float64))[:60])
    return np.stack([one.ravel() for one in np.meshgrid(*columns)], axis=1)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(FITTED)), rows=matrices, data=st.data())
def test_a_graph_answers_as_its_ensemble_at_and_around_every_threshold(
    kind: str, rows: list[list[float]], data: st.DataObject
) -> None:
    matrix = np.array(rows)
    target = data.draw(st.lists(st.integers(0, 2), min_size=len(rows), max_size=len(rows)))
    classes = np.array([0, 1, *target[2:]])
    own = FITTED[kind](matrix, classes)
    ensemble = ensembles.read_ensemble(own)
    assert isinstance(ensemble, ensembles.Ensemble)
    graph = open_onnx(onnx_graph.write_onnx(ensemble), own)
    asked = np.concatenate([matrix, around(ensemble.splits())])
    contract = contract_of(own, matrix)
    contract = replace(contract, class_scores=contract.score == "probability")

    answered = predict(ConvertedModel(None, own, graph, len(asked)), contract, asked)
    expected = predict(own, contract, asked)

    assert graph.admitted(asked) is not None
    assert equivalence.compare_models(own, graph, asked, contract, Tolerance()).beyond == 0  # the labels, too
    for name in ("score", "value", "class_scores"):
        if getattr(expected, name) is not None:
            np.testing.assert_allclose(
                getattr(answered, name), getattr(expected, name), rtol=1e-9, atol=1e-12
            )
