"""A model is converted only when it predicts as scikit-learn does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from stream_infer.models.converted import ConvertedModel, split_last_step
from stream_infer.models.manifest import Tolerance
from stream_infer.models.onnx_model import open_onnx
from stream_infer.models.predict import contract_of, predict
from stream_infer.models.scores import Scores
from stream_infer.packaging import ensembles, equivalence, onnx_graph
from stream_infer.packaging.convert import UP_TO_ROWS, Faster, convert
from tests.unit.packaging.zoo import FRESH, HOLES, MATRIX, SUM, THREE, TWO, ZOO, rows_for


def converted(model: Any) -> Faster:
    rows = rows_for(model, MATRIX)
    found = convert(model, [rows], contract_of(model, rows), Tolerance())
    assert isinstance(found, Faster), found
    return found


def reason(model: Any, rows: Any = MATRIX, tolerance: Tolerance | None = None) -> str:
    found = convert(model, [rows], contract_of(model, rows), tolerance or Tolerance())
    assert isinstance(found, str)
    return found


def numbers(scores: Scores) -> list[np.ndarray[Any, Any]]:
    return [one for one in (scores.score, scores.value, scores.class_scores) if one is not None]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ZOO)
def test_every_kind_of_ensemble_is_converted_with_equal_predictions(kind: str) -> None:
    model = ZOO[kind]()
    rows = rows_for(model, FRESH)
    contract = contract_of(model, rows)
    contract = replace(contract, class_scores=contract.score == "probability")

    found = converted(model)
    before, own = split_last_step(model)
    form = ConvertedModel(before, own, open_onnx(found.graph, own), len(FRESH))

    by_graph, expected = predict(form, contract, rows), predict(model, contract, rows)
    for one, other in zip(numbers(by_graph), numbers(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    assert expected.label is None or (
        by_graph.label is not None and by_graph.label.tolist() == expected.label.tolist()
    )
    assert found.conversion.rows == equivalence.RANDOM_ROWS + len(MATRIX)
    assert [gain.rows for gain in found.gains] == [1, 10, 100]


@pytest.mark.parametrize(
    ("kind", "up_to_rows"),
    [
        ("forest", UP_TO_ROWS),
        ("forest of three classes", UP_TO_ROWS // 3),
        ("boosting of three classes", UP_TO_ROWS),
    ],
)
def test_large_batches_are_left_to_scikit_learn_where_it_is_as_fast(kind: str, up_to_rows: int) -> None:
    assert converted(ZOO[kind]()).conversion.up_to_rows == up_to_rows


def test_a_graph_has_the_same_bytes_every_time() -> None:
    assert converted(ZOO["forest"]()).graph == converted(ZOO["forest"]()).graph


def categorical() -> Any:
    rows = np.column_stack([MATRIX, np.arange(len(MATRIX)) % 3])
    return HistGradientBoostingClassifier(max_iter=3, categorical_features=[4]).fit(rows, TWO), rows


def sparse() -> Any:
    rows = MATRIX.round(0)
    encoder = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(encoder, RandomForestClassifier(3, random_state=0)).fit(rows, TWO), rows


def begun_with_a_model() -> Any:
    init = LogisticRegression()
    return GradientBoostingClassifier(n_estimators=3, init=init, random_state=0).fit(MATRIX, TWO), MATRIX


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: (LogisticRegression().fit(MATRIX, TWO), MATRIX), "LogisticRegression is none of"),
        (
            lambda: (FixedThresholdClassifier(ZOO["forest"](), threshold=0.3).fit(MATRIX, TWO), MATRIX),
            "FixedThresholdClassifier is none of",
        ),
        (categorical, "categorical features"),
        (sparse, "not a matrix of numbers"),
        (begun_with_a_model, "its init is a model of its own"),
    ],
    ids=["linear", "wrapped", "categorical", "sparse", "init"],
)
def test_a_model_that_cannot_be_converted_has_a_reason(make: Any, why: str) -> None:
    model, rows = make()

    assert why in reason(model, rows)


def test_an_ensemble_that_is_too_large_is_not_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_infer.packaging.convert.MOST_NODES", 100)

    assert "nodes, and more than 100 are not converted" in reason(ZOO["forest"]())


def test_a_conversion_with_other_predictions_is_refused() -> None:
    # Large numbers cancel each other: the sum depends on the order of addition.
    target = np.where(MATRIX[:, 0] > 0, 1e15, 0.0) + SUM
    model = GradientBoostingRegressor(n_estimators=5, learning_rate=1.0, random_state=0).fit(MATRIX, target)

    assert "rows differ, by up to" in reason(model)


def test_a_conversion_is_held_to_the_tolerance() -> None:
    model = ZOO["boosting for numbers"]()

    assert 0.0 < converted(model).conversion.max_abs_difference < 1e-12
    assert "more than the tolerance" in reason(model, tolerance=Tolerance(0.0, 0.0))


def compared(model: Any, change: Any, rows: np.ndarray[Any, Any] | None = None) -> equivalence.Equivalence:
    """Return the comparison of a model with a graph whose trees were changed by `change`."""
    ensemble = ensembles.read_ensemble(model)
    assert isinstance(ensemble, ensembles.Ensemble)
    changed = replace(ensemble, trees=tuple(change(tree) for tree in ensemble.trees))
    drawn = equivalence.draw_rows(MATRIX, ensemble.splits(), rounds=ensemble.rounds, takes_nan=True)
    graph = open_onnx(onnx_graph.write_onnx(changed), model)
    return equivalence.compare_models(
        model, graph, drawn if rows is None else rows, contract_of(model, MATRIX), Tolerance()
    )


def in_single_precision(tree: ensembles.Tree) -> ensembles.Tree:
    return replace(tree, threshold=tree.threshold.astype(np.float32).astype(np.float64))


def test_thresholds_in_single_precision_are_detected_by_rows_at_thresholds() -> None:
    """The usual converters write such graphs: correct on the user's rows, wrong next to a threshold."""
    model = ZOO["histograms"]()

    assert compared(model, in_single_precision, FRESH).beyond == 0
    assert compared(model, in_single_precision).beyond > 100
    assert compared(model, lambda tree: tree).beyond == 0


def test_leaves_in_single_precision_are_detected() -> None:
    model = ZOO["histograms"]()

    found = compared(
        model, lambda tree: replace(tree, weight=tree.weight.astype(np.float32).astype(np.float64))
    )

    assert found.beyond > 0.9 * found.rows
    assert 1e-9 < found.max_abs_difference < 1e-6


@pytest.mark.parametrize("kind", ["forest fitted on holes", "histograms on holes"])
def test_the_branch_of_nan_is_compared(kind: str) -> None:
    found = compared(ZOO[kind](), lambda tree: replace(tree, nan_left=~tree.nan_left))

    assert found.beyond > 100


@pytest.mark.slow
def test_a_threshold_moved_by_one_bit_is_detected_in_either_precision() -> None:
    def moved(kind: Any) -> Any:
        return lambda tree: replace(
            tree, threshold=np.nextafter(tree.threshold.astype(kind), kind(np.inf)).astype(np.float64)
        )

    assert compared(ZOO["histograms"](), moved(np.float64)).beyond > 0
    assert compared(ZOO["forest for numbers"](), moved(np.float32)).beyond > 0


def test_rows_that_the_graph_does_not_accept_are_no_evidence() -> None:
    with pytest.raises(ValueError, match="does not take"):
        compared(ZOO["boosting"](), lambda tree: tree, HOLES)


def test_labels_may_differ_only_in_a_tie_within_rounding() -> None:
    model = RandomForestClassifier(2, max_depth=2, random_state=0).fit(MATRIX, THREE > 0)
    contract = contract_of(model, MATRIX)
    # Two trees disagree: each class has probability 0.5 exactly.
    half = Scores(label=np.array(["True"], object), score=np.array([0.5]))
    other = replace(half, label=np.array(["False"], object))
    sure = Scores(label=np.array(["True"], object), score=np.array([0.6]))

    tie = equivalence._compared(half, other, contract, Tolerance())
    wrong = equivalence._compared(replace(sure, label=other.label), sure, contract, Tolerance())

    assert (tie.label_mismatches, tie.beyond) == (1, 0)
    assert (wrong.label_mismatches, wrong.beyond) == (0, 1)


def test_nan_never_counts_as_equal() -> None:
    contract = contract_of(ZOO["forest for numbers"](), MATRIX)
    number, none = Scores(value=np.array([0.5])), Scores(value=np.array([np.nan]))

    found = equivalence._compared(none, number, contract, Tolerance())

    assert (found.beyond, found.max_abs_difference) == (1, np.inf)


def test_random_rows_cover_thresholds_their_neighbours_and_special_values() -> None:
    splits = [np.array([0.1, 0.7]), np.empty(0)]
    seen = np.array([[5.0, 6.0], [7.0, np.nan]])

    rows = equivalence.draw_rows(seen, splits, rounds=True, takes_nan=True)

    first, second = set(rows[:, 0].tolist()), set(rows[~np.isnan(rows[:, 1]), 1].tolist())
    assert {5.0, 7.0, 0.1, 0.7, np.nextafter(0.1, 1), float(np.float32(0.7)), 0.0, 1e30} <= first
    assert second <= {6.0, -6.0, 0.0, 1e-45, -1e-310, 1e30, -float(np.finfo(np.float32).max) / 2}
    assert 0.02 < np.isnan(rows).mean() < 0.1
    assert np.array_equal(
        rows, equivalence.draw_rows(seen, splits, rounds=True, takes_nan=True), equal_nan=True
    )


def test_a_row_that_overflows_single_precision_is_left_to_scikit_learn() -> None:
    model = ZOO["isolation"]()  # accepts infinite values
    far = np.vstack([MATRIX, [1e39, 0.0, 0.0, 0.0]])

    with np.errstate(over="ignore"):
        found = convert(model, [far], contract_of(model, MATRIX), Tolerance())

    assert isinstance(found, Faster)
    assert found.conversion.rows == equivalence.RANDOM_ROWS + len(MATRIX)
